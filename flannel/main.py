"""`pyflanneld`: flags in, exit code out.

| ends because                                             | exit code |
|----------------------------------------------------------|-----------|
| of SIGINT or SIGTERM, or the lease was revoked           | 0         |
| it cannot go on: interface, backend, no subnet, no right | 1         |
| a flag is wrong                                          | 2         |
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from importlib import metadata

from flannel import flags, log
from flannel.daemon import Failure, serve
from flannel.flags import MARGIN_MAX, MARGIN_MIN, FlagError, HelpWanted, Options
from flannel.resolving import Loop

DISTRIBUTION = "pyetcd-server"
SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = logging.getLogger("flannel.main")


def main() -> None:
    """Lease a subnet and keep the data path until told to stop."""
    sys.exit(run(sys.argv))


def run(arguments: list[str]) -> int:
    """The exit code."""
    program = os.path.basename(arguments[0])
    try:
        options = flags.load(arguments[1:], os.environ)
    except HelpWanted:
        sys.stderr.write(flags.usage(program))
        return 0
    except FlagError as error:
        sys.stderr.write(f"{error}\n{flags.usage(program)}")
        return 2
    if options.version:
        sys.stderr.write(f"{_version()}\n")
        return 0
    log.setup(options.v)
    if not MARGIN_MIN <= options.subnet_lease_renew_margin <= MARGIN_MAX:
        _log.error(
            "Invalid subnet-lease-renew-margin option, out of acceptable range: %d is not %d..%d",
            options.subnet_lease_renew_margin, MARGIN_MIN, MARGIN_MAX,
        )  # fmt: skip
        return 1
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(_until_told(options))
    except Failure as error:
        _log.error("%s", error)
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # asyncio leaves Python's own behind
    _log.info("Exiting cleanly...")
    return 0


async def _until_told(options: Options) -> None:
    """Serve until a signal comes; the second one kills."""
    loop = asyncio.get_running_loop()
    daemon = asyncio.ensure_future(serve(options, os.environ))

    def stop() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)  # Python's own would be a traceback
        _log.info("shutdownHandler sent cancel signal...")
        daemon.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    with contextlib.suppress(asyncio.CancelledError):
        await daemon


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"
