"""The pauses of an event loop: what the ticker notes and how it is summed up."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from bench.figures import quantile

LATE_NS: Final = 10_000_000
"""Pauses from here on are kept with their circumstances."""


@dataclass(frozen=True, slots=True)
class Late:
    """One long pause: what the thread did in it, and the long steps that ran."""

    pause_ms: float
    cpu_ms: float
    runnable_ms: float
    steps: list[tuple[str, float]]
    stacks: list[str]

    @property
    def blocked_ms(self) -> float:
        """Neither computing nor waiting for a core: a disk, a lock, the interpreter's lock."""
        return max(0.0, self.pause_ms - self.cpu_ms - self.runnable_ms)

    def words(self) -> str:
        """One line about it."""
        steps = ", ".join(f"{name} {took_ms:.1f}" for name, took_ms in self.steps)
        return (
            f"{self.pause_ms:6.1f} ms: {self.cpu_ms:.1f} computing, {self.runnable_ms:.1f} waiting "
            f"for a core, {self.blocked_ms:.1f} blocked; {steps or 'no single long step'}"
        )


@dataclass(slots=True)
class Record:
    """One run's measurement."""

    pauses_us: list[int] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    keys: int = 0
    snapshots: int = 0
    compactions: int = 0
    collections: int = 0
    longest_ms: dict[str, float] = field(default_factory=dict)

    @property
    def p999_ms(self) -> float:
        """The 99.9th percentile of all pauses."""
        return quantile(self.pauses_us, 0.999) / 1e3

    @property
    def p50_ms(self) -> float:
        """The median of all pauses: how long one turn of the loop takes under this load."""
        return quantile(self.pauses_us, 0.5) / 1e3

    @property
    def max_ms(self) -> float:
        """The longest pause."""
        return max(self.pauses_us) / 1e3

    @property
    def own_max_ms(self) -> float:
        """The longest pause less the time other processes had the core."""
        own = [late.pause_ms - late.runnable_ms for late in self.late]
        return max(own, default=min(self.max_ms, LATE_NS / 1e6))

    def worst(self, count: int) -> list[Late]:
        """The longest pauses."""
        return sorted(self.late, key=lambda late: -late.pause_ms)[:count]

    def as_json(self) -> dict[str, Any]:
        """As the ticker sends it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """As it was sent."""
        late = [
            Late(**(row | {"steps": [(name, took_ms) for name, took_ms in row["steps"]]}))
            for row in content["late"]
        ]
        return cls(**(content | {"late": late}))
