"""`pyetcd`: options in, exit code out. The composition root of the process."""

import asyncio
import gc
import logging
import os
import resource
import signal
import sys

import uvloop

from raft import DataLost, IdentityMismatch, JournalCorrupt, Refused, SnapshotCorrupt
from server import backup, log, options
from server.datadir import DataDirError, open_data_dir
from server.identity import BootstrapError
from server.listeners import CannotListen
from server.notice import Exit
from server.options.config import Config
from server.process import Process
from server.version import ETCD_VERSION, __version__

_STARTUP_FAILURES = (
    BootstrapError,
    CannotListen,
    DataDirError,
    DataLost,
    IdentityMismatch,
    JournalCorrupt,
    OSError,
    Refused,
    SnapshotCorrupt,
)

# How long a thread that comes back from the disk waits for its turn to say so. Python's default of
# 5 ms would be added to each write while the disk is slow.
_SWITCH_INTERVAL_S = 0.0005

_logger = logging.getLogger("etcdmain")


def main() -> None:
    """Run a member until it is told to stop, or what else was asked for."""
    if sys.argv[1:2] == ["backup"]:
        sys.exit(backup.main(sys.argv[2:]))
    try:
        loaded = options.load(_arguments(), os.environ)
        config = loaded.config
        log.setup(config.logger, config.log_level, config.log_outputs)
    except Exit as outcome:
        sys.exit(log.report(outcome))
    except log.CannotLog as error:
        sys.exit(log.report(Exit(1, stderr_text=f"{error}\n")))
    _logger.info("etcd Version: %s (pyetcd %s)", ETCD_VERSION, __version__)
    log.emit(loaded.notices)
    try:
        received = _run(config)
    except _STARTUP_FAILURES as error:
        _logger.critical("%s", error)
        sys.exit(1)
    if received is not None:
        _end_by(received)


def _arguments() -> list[str]:
    for argument in sys.argv[1:]:
        if not argument.isprintable() and "\udc80" <= max(argument) <= "\udcff":
            raise Exit(2, stderr_text=f"argument {argument!a} is not UTF-8\n")
    return sys.argv[1:]


def _run(config: Config) -> signal.Signals | None:
    _raise_file_limit()
    data_dir = open_data_dir(config.data_dir, config.wal_dir)
    log.emit(data_dir.notices)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    # What is loaded by now lives as long as the process: full collections need not look at it.
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Process(config, data_dir).run())


def _raise_file_limit() -> None:
    """Allow as many connections as the system does, as Go programs do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _end_by(received: signal.Signals) -> None:
    """End by the signal that was received, as etcd does; as PID 1, which cannot, with code 0."""
    logging.shutdown()
    if os.getpid() == 1:
        sys.exit(0)
    signal.signal(received, signal.SIG_DFL)
    os.kill(os.getpid(), received)
