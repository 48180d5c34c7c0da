"""Clients: what they ask of members, what they are told, and what that must agree with.

Laws that are watched:

* "an acknowledged write is in the history", with exactly the reply that was given, and it is on the
  disks of a majority when its client hears of it.
* "what was refused has not happened" (nor will it): only a cause that says "unknown" may be wrong.
* "a read is never stale": a quorum read sees everything that was answered before it was asked.
* "every wait ends" by the request time-out.
* linearizability of each key's history, at the end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from kvstore import Reply
from kvstore.commands import (
    CompareAndDelete,
    CompareAndSwap,
    Create,
    Delete,
    KeyCommand,
    PublishMember,
    Set,
    SetClusterVersion,
    Update,
    encode,
)
from raft import ChangeRefused, ProposalFailed
from tests.simulation.linearizability import ANYTHING, NEVER, Event, Undecided, check

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from raft.messages import Change
    from tests.simulation.loop import Process
    from tests.simulation.member import Member
    from tests.simulation.world import World

WAITING, OK, FAILED, UNKNOWN = "waiting", "ok", "failed", "unknown"
# What a wait may take beyond its time-out: the driver looks at its clock only now and then.
_LATE_NS = 1_500_000_000


@dataclass(slots=True, eq=False)
class Operation:
    """One request of a client, from beginning to end."""

    member: int
    process: Process
    what: str
    key: bytes
    command: KeyCommand | None
    data: bytes
    invoked_ns: int = NEVER
    finished_ns: int = NEVER
    outcome: str = WAITING
    reply: Reply | None = None
    cause: str = ""
    # What was answered before it was asked: entries up to this one.
    floor: int = 0
    # The entry that a write has become; 0 for none that is known.
    index: int = 0

    def event(self) -> Event | None:
        """What it means for the history of its key; None for nothing."""
        if self.outcome == FAILED or self.invoked_ns == NEVER:
            return None
        if self.outcome == OK:
            assert self.reply is not None
            return _seen(self, orjson.loads(self.reply.body))
        return _maybe(self)


class Clients:
    """All clients of the cluster."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.operations: list[Operation] = []
        self.counts: Counter[str] = Counter()
        self._waiting: dict[Operation, None] = {}
        # (when it was answered, up to which entry that reaches), only what reaches further.
        self._answered: list[tuple[int, int]] = []
        # Which of the replies in the history have been given to somebody.
        self._given: set[int] = set()

    # -- asking -----------------------------------------------------------------------------

    def write(self, member: Member, command: KeyCommand) -> Operation:
        """Propose a command to a member."""
        data = encode(command)
        operation = self._operation(member, type(command).__name__, command.key, command, data)

        def propose() -> asyncio.Future[Reply]:
            self.world.canon.asked[data] += 1
            return member.live.node.propose(data)

        return self._ask(member, operation, propose, self._written)

    def change(self, member: Member, change: Change, data: bytes) -> Operation:
        """Ask a member for a change of the members."""
        operation = self._operation(member, change.kind, b"", None, data)

        def propose() -> asyncio.Future[Reply]:
            self.world.canon.asked[data] += 1
            return member.live.node.change(change, data)

        return self._ask(member, operation, propose, self._written)

    def read(self, member: Member, key: bytes) -> Operation:
        """Read a key with quorum=true."""
        operation = self._operation(member, "read", key, None, b"")

        def barrier() -> asyncio.Future[None]:
            return member.live.node.read_barrier()

        return self._ask(member, operation, barrier, self._read)

    def look(self, member: Member, key: bytes) -> None:
        """Read what a member has, now; equal members must show equal things."""
        canon, luck, life = self.world.canon, member.luck, member.live
        recursive, in_order = luck.random() < 0.5, luck.random() < 0.7
        now_ns = life.node.cluster_time_ns
        stores = (life.machine.store, canon.reference.store)
        shown = [s.get(key, now_ns, recursive=recursive, in_order=in_order) for s in stores]
        self.counts["looks"] += 1
        # Unless sorted, children come in the order in which a member has learnt of them.
        comparable = in_order and life.machine.position == canon.last
        if comparable and shown[0] != shown[1]:
            detail = f"{key!r} at member {member.id}: {shown[0]} instead of {shown[1]}"
            self.world.accuse("equal members show equal things", detail)

    def record(self, member: Member, command: PublishMember | SetClusterVersion) -> Operation:
        """Have a member record something of its own, as a server does when it starts."""
        data = encode(command)
        operation = self._operation(member, "record", b"", None, data)

        def propose() -> asyncio.Future[Reply]:
            self.world.canon.asked[data] += 1
            return member.live.node.propose(data, reserved=True)

        return self._ask(member, operation, propose, self._written)

    def _operation(
        self, member: Member, what: str, key: bytes, command: KeyCommand | None, data: bytes
    ) -> Operation:
        operation = Operation(member.id, member.live.process, what, key, command, data)
        self.operations.append(operation)
        return operation

    def _ask(
        self,
        member: Member,
        operation: Operation,
        begin: Callable[[], asyncio.Future[Any]],
        end: Callable[[Member, Operation, object], None],
    ) -> Operation:
        """Begin on behalf of the member's process, as soon as that can act."""

        def run() -> None:
            operation.invoked_ns = self.world.loop.now_ns
            operation.floor = self._answered_before(operation.invoked_ns)
            self._waiting[operation] = None
            begin().add_done_callback(answered)

        def answered(future: asyncio.Future[object]) -> None:
            self._waiting.pop(operation, None)
            operation.finished_ns = self.world.loop.now_ns
            error = future.exception()
            if error is None:
                operation.outcome = OK
                end(member, operation, future.result())
            else:
                self._refused(operation, error)
            self.counts[f"{operation.what} {operation.outcome}"] += 1
            self.world.tell(operation.outcome, member.id, operation.what)

        operation.process.at(self.world.loop.now_ns, run)
        return operation

    def _answered_before(self, time_ns: int) -> int:
        for at_ns, index in reversed(self._answered):
            if at_ns < time_ns:
                return index
        return 0

    def _reaches(self, operation: Operation, index: int) -> None:
        if not self._answered or index > self._answered[-1][1]:
            self._answered.append((operation.finished_ns, index))

    # -- being answered ---------------------------------------------------------------------

    def _written(self, member: Member, operation: Operation, reply: object) -> None:
        assert isinstance(reply, Reply)
        operation.reply = reply
        world = self.world
        replies = world.canon.replies[operation.data]
        # Commands that are alike may have answers that are, such as that there is no such key: one
        # of those that nobody was given is this one's, the first that came when it could.
        alike = [r for r in replies if r[2] == reply]
        free = [r for r in alike if r[0] not in self._given]
        found = next((r for r in free if r[1] > operation.floor), free[0] if free else None)
        if found is None:
            world.accuse(
                "an acknowledged write is in the history",
                f"{operation.data!r} at member {member.id} is answered {reply}, which is none of "
                f"{replies}",
            )
            return
        order, index, _reply = found
        self._given.add(order)
        operation.index = index
        self._reaches(operation, alike[0][1])
        if index <= operation.floor:
            detail = f"{operation.data!r} is entry {index}, asked for after {operation.floor}"
            world.accuse("writes happen after they are asked for", detail)
        term = world.canon.entries[index - 1][0]
        world.leadership.check_majority(index, term, f"member {member.id} acknowledges")

    def _read(self, member: Member, operation: Operation, _nothing: object) -> None:
        node, store = member.live.node, member.live.machine.store
        index = node.applied_index
        operation.reply = store.get(
            operation.key, node.cluster_time_ns, recursive=False, in_order=False
        )
        if index < operation.floor:
            self.world.accuse(
                "a read is never stale",
                f"member {member.id} reads {operation.key!r} as of entry {index}; entry "
                f"{operation.floor} was answered before",
            )
        self._reaches(operation, index)

    def _refused(self, operation: Operation, error: BaseException) -> None:
        if not isinstance(error, ProposalFailed | ChangeRefused):
            self.world.accuse("failures have a cause", f"{operation.what}: {error!r}")
        operation.cause = str(error)
        operation.outcome = UNKNOWN if "unknown" in operation.cause else FAILED
        if operation.outcome == FAILED and operation.data:
            canon = self.world.canon
            canon.asked[operation.data] -= 1
            if len(canon.replies[operation.data]) > canon.asked[operation.data]:
                self.world.accuse(
                    "what was refused has not happened",
                    f"{operation.data!r} at member {operation.member}: {operation.cause}",
                )

    def ended(self, process: Process) -> None:
        """A member's process is gone: its clients know nothing."""
        for operation in [o for o in self._waiting if o.process is process]:
            del self._waiting[operation]
            operation.outcome = UNKNOWN

    # -- looking back -----------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def check_waits(self) -> None:
        """Every wait must end."""
        world = self.world
        limit_ns = world.request_timeout_ns * 1_000_000 // world.mood.clock_rate_min_ppm + _LATE_NS
        for operation in self._waiting:
            process = operation.process
            since_ns = max(operation.invoked_ns, process.acts_since_ns)
            if not process.stopped and world.loop.now_ns - since_ns > limit_ns:
                detail = f"{operation.what} at member {operation.member} since {since_ns} ns"
                world.accuse("every wait ends", detail)

    def check_histories(self) -> None:
        """Each key's history must be linearizable."""
        histories: dict[bytes, list[Event]] = defaultdict(list)
        for operation in self.operations:
            if operation.key.startswith(b"/r") and (event := operation.event()) is not None:
                histories[operation.key].append(event)
        for key, events in histories.items():
            try:
                linear = check(events)
            except Undecided:
                self.counts["undecided histories"] += 1
                continue
            self.counts["histories"] += 1
            if not linear:
                shown = "\n  ".join(map(repr, events))
                self.world.accuse("linearizability", f"of {key!r}:\n  {shown}")


def _value(node: dict[str, str] | None) -> bytes | None:
    return None if node is None else node["value"].encode()


def _seen(operation: Operation, body: dict[str, Any]) -> Event:
    """What a reply says of the value before and after."""
    when = (operation.invoked_ns, operation.finished_ns)
    command, code = operation.command, body.get("errorCode")
    if operation.what == "read":
        return Event(*when, None if code else _value(body["node"]), ANYTHING, what="read")
    what = operation.what
    if code is None:
        gone = isinstance(command, Delete | CompareAndDelete)
        after = None if gone else _value(body["node"])
        return Event(*when, _value(body.get("prevNode")), after, what=what)
    if code == 100:
        return Event(*when, None, ANYTHING, what=what)
    # 101 and 105: there is something, but the command does not fit.
    return Event(*when, ANYTHING, ANYTHING, existed=True, what=what)


def _maybe(operation: Operation) -> Event | None:
    """What may come of a command of which nobody knows what came."""
    command = operation.command
    when = (operation.invoked_ns, NEVER)
    match command:
        case Set():
            return Event(*when, ANYTHING, command.value, what="set?")
        case Create():
            return Event(*when, None, command.value, what="create?")
        case Update():
            return Event(*when, ANYTHING, command.value, existed=True, what="update?")
        case CompareAndSwap():
            before = command.prev_value or ANYTHING
            return Event(*when, before, command.value, existed=True, what="cas?")
        case Delete():
            return Event(*when, ANYTHING, None, what="delete?")
        case CompareAndDelete():
            before = command.prev_value or ANYTHING
            return Event(*when, before, None, what="cad?")
    return None
