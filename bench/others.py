"""How much of the machine somebody else used while we measured: the doubt about the figures."""

import os
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_IDLE_FIELDS: Final = (3, 4)  # idle, iowait
_GUEST_FIELDS: Final = slice(0, 8)  # the fields after these are counted in user and nice already


class Others:
    """CPU time of the whole machine less that of the processes that belong to the measurement."""

    def __init__(self, pids: Sequence[int]) -> None:
        """`pids`: the servers. Children that have ended, as wrk, are known anyway."""
        self._pids = pids
        self._before = self._read()

    def share(self) -> float:
        """The part of all cores that others had since this object was made, 0 to 1."""
        busy_s, total_s, ours_s = (
            now - before for now, before in zip(self._read(), self._before, strict=True)
        )
        return max(0.0, busy_s - ours_s) / total_s if total_s else 0.0

    def _read(self) -> tuple[float, float, float]:
        busy_s, total_s = machine_seconds(Path("/proc/stat").read_text())
        ours_s = sum(process_seconds(Path(f"/proc/{pid}/stat").read_text()) for pid in self._pids)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            used = resource.getrusage(who)
            ours_s += used.ru_utime + used.ru_stime
        return busy_s, total_s, ours_s


def machine_seconds(stat: str) -> tuple[float, float]:
    """Busy and total seconds of all cores, from the text of /proc/stat; stolen time is busy."""
    ticks = [int(field) for field in stat.splitlines()[0].split()[1:]][_GUEST_FIELDS]
    idle = sum(ticks[field] for field in _IDLE_FIELDS)
    return (sum(ticks) - idle) / _TICKS_PER_S, sum(ticks) / _TICKS_PER_S


def process_seconds(stat: str) -> float:
    """User and system seconds of a process, from the text of /proc/PID/stat."""
    fields = stat.rpartition(")")[2].split()  # the name before may hold anything
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
