"""What raft/ asks of the state machine it is handed. It knows no keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ReplyT_co = TypeVar("ReplyT_co", covariant=True)


class StateMachine(Protocol[ReplyT_co]):
    """Deterministic: equal machines given equal batches stay equal.

    Nothing here may raise for a user's mistake; any exception ends the process.
    """

    def apply(self, stamp_ns: int, wall_ns: int, commands: Sequence[bytes]) -> Sequence[ReplyT_co]:
        """Apply a batch; one reply for each command, in order."""

    def tick_command(self) -> bytes | None:
        """The command a leader proposes every half second; None while time does not matter."""

    def is_behind(self) -> bool:
        """Whether another such command should be proposed without waiting half a second."""

    def freeze(self) -> Iterator[bytes]:
        """Capture the state in a few milliseconds; its chunks may be read while it moves on."""

    def thaw(self, chunks: Iterable[bytes]) -> Any:
        """Build a new state out of frozen chunks, in any thread, and touch nothing else."""

    def adopt(self, state: Any) -> None:
        """Take a thawed state in place of the one there is; quick, and on the event loop."""
