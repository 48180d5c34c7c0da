"""A member that acknowledges before its log is on disk.

The writes of the log stay in the process's own memory for up to `KEPT_S`, and `sync` returns at
once; so kill -9 takes from it what a power cut takes from one that does not wait for fdatasync:
the last records, never one out of the middle. Whatever gives a file another name, or reads it,
writes it out first, so that a restart finds a sound log: only shorter. A snapshot would save what
the log has lost, so let there be none.
"""

import os
import threading

from raft.disk import RealDisk, RealFile
from server.main import main

KEPT_S = 2.0

_lock = threading.RLock()
_kept: dict[int, list[tuple[int, bytes]]] = {}

_pwrite, _pread, _close = RealFile.pwrite, RealFile.pread, RealFile.close
_size, _truncate = RealFile.size, RealFile.truncate
_rename, _sync_dir = RealDisk.rename, RealDisk.sync_dir


def _write_out(fd: int) -> None:
    with _lock:
        for offset, data in _kept.pop(fd, []):
            os.pwrite(fd, data, offset)


def _write_all_out() -> None:
    with _lock:
        for fd in list(_kept):
            _write_out(fd)


def _lazy_pwrite(file: RealFile, data: bytes | bytearray, offset: int) -> None:
    with _lock:
        _kept.setdefault(file._fd, []).append((offset, bytes(data)))


def _lazy_sync(file: RealFile) -> None:
    """Nothing: this is the defect."""


def _honest_pread(file: RealFile, length: int, offset: int) -> bytes:
    _write_out(file._fd)
    return _pread(file, length, offset)


def _honest_size(file: RealFile) -> int:
    _write_out(file._fd)
    return _size(file)


def _honest_truncate(file: RealFile, size: int) -> None:
    _write_out(file._fd)
    _truncate(file, size)


def _honest_close(file: RealFile) -> None:
    with _lock:
        _write_out(file._fd)
        _close(file)


def _honest_rename(disk: RealDisk, old: str, new: str) -> None:
    _write_all_out()
    _rename(disk, old, new)


def _honest_sync_dir(disk: RealDisk, directory: str) -> None:
    _write_all_out()
    _sync_dir(disk, directory)


def _write_out_for_ever() -> None:
    pause = threading.Event()
    while not pause.wait(KEPT_S):
        _write_all_out()


RealFile.pwrite = _lazy_pwrite
RealFile.sync = _lazy_sync
RealFile.pread = _honest_pread
RealFile.size = _honest_size
RealFile.truncate = _honest_truncate
RealFile.close = _honest_close
RealDisk.rename = _honest_rename
RealDisk.sync_dir = _honest_sync_dir

if __name__ == "__main__":
    threading.Thread(target=_write_out_for_ever, daemon=True).start()
    main()
