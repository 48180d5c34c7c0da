"""Moods: what kind of weather a seed lives in. All chances are per step of the schedule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from raft import Timing
from tests.simulation.disk import Pace
from tests.simulation.loop import MS
from tests.simulation.network import Weather


@dataclass(frozen=True, slots=True)
class Mood:
    """How a history is made."""

    name: str
    # How many members it begins with; drawn from these.
    members: tuple[int, ...] = (3, 3, 5)
    members_max: int = 7
    steps: int = 70
    # How long a step is, and how many requests come with it.
    step_ms: tuple[int, ...] = (5, 20, 50, 100, 300)
    requests: tuple[int, ...] = (0, 1, 2, 4, 8)
    timing: Timing = field(default_factory=lambda: Timing(40, 200))
    weather: Weather = field(default_factory=Weather)
    pace: Pace = field(default_factory=Pace)
    snapshot_count: int = 100
    trailing_commands: int = 20
    segment_bytes: int = 32 << 10
    clock_rate_min_ppm: int = 900_000
    clock_rate_max_ppm: int = 1_100_000
    # The faults, by name (schedule.Schedule has a method for each), and how likely they are.
    faults: dict[str, float] = field(default_factory=dict)


_MILD: Final = {
    "crash": 0.03,
    "boot": 0.3,
    "reset": 0.05,
    "isolate_leader": 0.02,
    "partition": 0.02,
    "mend": 0.2,
    "slow_disk": 0.02,
    "heal_disks": 0.1,
    "wall_clock": 0.03,
    "pause": 0.02,
    "go_on": 0.3,
}

_HARSH: Final = _MILD | {
    "crash": 0.04,
    "crash_leader": 0.05,
    "power_cut": 0.015,
    "boot": 0.3,
    "reset": 0.12,
    "isolate_leader": 0.06,
    "partition": 0.05,
    "one_way": 0.05,
    "one_way_leader": 0.04,
    "slow_link": 0.06,
    "slow_apply": 0.03,
    "mend": 0.15,
    "power_loss": 0.04,
    "stall": 0.03,
    "stop": 0.015,
    "transfer": 0.02,
}

_ROUGH: Final = Weather(hiccup=0.03, hiccup_ns=150 * MS, notice_ns=60 * MS, reconnect_ns=100 * MS)

MILD: Final = Mood("mild", faults=_MILD)
HARSH: Final = Mood("harsh", weather=_ROUGH, faults=_HARSH)

MOODS: Final[dict[str, Mood]] = {
    mood.name: mood
    for mood in (
        MILD,
        HARSH,
        Mood(
            "membership",
            members=(1, 2, 3, 3, 4),
            weather=_ROUGH,
            faults=_MILD
            | {
                "add": 0.15,
                "remove": 0.12,
                "remove_leader": 0.05,
                "update": 0.04,
                "replace": 0.1,
                "strange": 0.06,
                "haunt": 0.03,
                "crash_leader": 0.03,
                "isolate_leader": 0.04,
                "power_cut": 0.01,
                "transfer": 0.03,
            },
        ),
        Mood(
            "disk",
            pace=Pace(hiccup=0.02),
            faults=_MILD
            | {
                "slow_disk": 0.06,
                "stall": 0.06,
                "fail_sync": 0.06,
                "power_loss": 0.08,
                "power_cut": 0.03,
                "full_disk": 0.05,
                "flip": 0.15,
                "wipe": 0.05,
                "add": 0.05,
                "replace": 0.2,
                "crash_leader": 0.03,
            },
        ),
        Mood(
            "snapshot",
            weather=_ROUGH,
            snapshot_count=20,
            trailing_commands=3,
            requests=(0, 2, 4, 8, 16),
            faults=_HARSH | {"add": 0.03, "remove": 0.03},
        ),
        Mood(
            "chaos",
            weather=replace(_ROUGH, in_order=False, loss=0.03, double=0.05, swap=0.2),
            snapshot_count=30,
            trailing_commands=10,
            faults=_HARSH | {"add": 0.02, "remove": 0.02},
        ),
        Mood(
            "forgetful",
            weather=_ROUGH,
            snapshot_count=50,
            faults=_HARSH | {"boot": 0.6, "wipe": 0.3, "forget": 0.3, "replace": 0.4},
        ),
        Mood("crowd", members=(5, 6, 7), steps=50, weather=_ROUGH, faults=_HARSH),
        Mood(
            "alone",
            members=(1,),
            snapshot_count=30,
            trailing_commands=5,
            faults={
                "crash": 0.05,
                "power_loss": 0.06,
                "boot": 0.5,
                "slow_disk": 0.04,
                "stall": 0.03,
                "fail_sync": 0.04,
                "full_disk": 0.03,
                "heal_disks": 0.15,
                "wall_clock": 0.05,
                "stop": 0.02,
                "pause": 0.02,
                "go_on": 0.3,
            },
        ),
    )
}
