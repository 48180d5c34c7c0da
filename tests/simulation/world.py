"""All members, what lies between them, and everybody who watches.

Laws:

* A world is made of its seed and its mood alone: equal ones have equal traces (`fingerprint`).
* Whatever law is broken, the run ends there with a Violation.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import zlib
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from unittest import mock

from kvstore import is_removed
from raft import batch, pin
from tests.simulation import journals
from tests.simulation.canon import EXPIRED_AT_ONCE_MAX, Canon
from tests.simulation.clients import Clients
from tests.simulation.journals import Journals, JournalWatch
from tests.simulation.leadership import Leadership
from tests.simulation.loop import NS_PER_S, Process, VirtualLoop
from tests.simulation.member import Member, peer_of
from tests.simulation.network import Network
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from raft import Peer
    from raft.batch import Batch
    from raft.messages import Message
    from tests.simulation.moods import Mood
    from tests.simulation.watching import WatchClient

# What makes values long, in a detail.
_PADDING = re.compile("-{4,}")

# Everything is small, so that whatever has a bound meets it.
SMALL = {
    "raft.appender._ROOM_KEPT_BYTES": 8 << 10,
    "raft.batch.BYTES_MAX": 8 << 10,
    "raft.batch.COMMANDS_MAX": 16,
    "raft.compaction.LOG_BYTES_MAX": 64 << 10,
    "raft.compaction.TRAILING_BYTES_MAX": 16 << 10,
    "raft.compaction._RETRY_S": 1.0,
    "raft.installs.PART_BYTES_MAX": 2 << 10,
    "raft.log.APPEND_BYTES_MAX": 8 << 10,
    "raft.progress.WINDOW_BYTES": 16 << 10,
    "raft.proposals.WAITING_BYTES_MAX": 32 << 10,
    "raft.snapshots.SYNC_EVERY_BYTES": 4 << 10,
    "kvstore.expiry._SWEEP_MIN": 4,
    "kvstore.history.BYTES_MAX": 100 << 10,
    "kvstore.history.EVENTS_MAX": 60,
    "kvstore.machine._CHUNK_ROWS": 20,
    "kvstore.node_map._MASK": 15,
    "kvstore.node_map._SHARDS": 16,
    "kvstore.store.EXPIRED_AT_ONCE_MAX": EXPIRED_AT_ONCE_MAX,
}
# What a process may take to notice that its disk has failed.
DEATH_NS = NS_PER_S // 10


class World:
    """A cluster in virtual time."""

    def __init__(
        self, seed: str, mood: Mood, *, members: int, trace: Callable[[str], None] | None = None
    ) -> None:
        """`trace` is given a line for everything that happens."""
        self.seed = seed
        self.mood = mood
        self.luck = random.Random(f"{seed}/world")
        self._thread_luck = random.Random(f"{seed}/threads")
        self.loop = VirtualLoop(self._thread_delay_ns)  # type: ignore[abstract]
        self.loop.after = self._after
        self.counts: Counter[str] = Counter()
        self.clocks_are_odd = True
        self._trace = trace
        self._print = hashlib.blake2b(digest_size=16)
        self.journals = Journals(self.accuse)
        self.journals.on_created = self._check_stamp
        self.canon = Canon(self.accuse)
        self.leadership = Leadership(self.accuse, self.journals, self.canon)
        self.clients = Clients(self)
        self.network = Network(self.loop, seed, self)
        self.network.weather = mood.weather
        self.watchers: list[WatchClient] = []
        self._stamps: dict[tuple[int, int], int] = {}
        self.members: dict[int, Member] = {}
        self._led_since_ns: dict[int, int] = {}
        self.founders = tuple(peer_of(number) for number in range(1, members + 1))
        for peer in self.founders:
            self.add(peer.id, self.founders)

    def add(self, number: int, founders: tuple[Peer, ...] = ()) -> Member:
        """There is another machine."""
        member = self.members[number] = Member(self, number, founders=founders)
        return member

    # -- of the mood ------------------------------------------------------------------------

    @property
    def election_ns(self) -> int:
        return self.mood.timing.election_ms * 1_000_000

    @property
    def request_timeout_ns(self) -> int:
        return NS_PER_S + 2 * self.election_ns

    def clock_rate_ppm(self, luck: random.Random) -> int:
        """How fast the clock of a life runs."""
        if not self.clocks_are_odd:
            return 1_000_000
        return luck.randint(self.mood.clock_rate_min_ppm, self.mood.clock_rate_max_ppm)

    def wall_clock_ahead_ns(self, luck: random.Random) -> int:
        """How wrong its wall clock is."""
        return int(luck.choice((0, 0, 1, 60, 86_400)) * NS_PER_S * (luck.random() - 0.5))

    def _thread_delay_ns(self) -> int:
        return int(
            self._thread_luck.choice((50_000, 200_000, 2_000_000)) * self._thread_luck.random()
        )

    # -- what is known of it ----------------------------------------------------------------

    @property
    def up(self) -> list[Member]:
        """The members that run."""
        return [member for member in self.members.values() if member.up]

    @property
    def leader(self) -> Member | None:
        """Who says to lead, in the highest term."""
        leading = [
            (member.live.node.status.term, member.id)
            for member in self.up
            if member.live.node.status.is_leader
        ]
        return self.members[max(leading)[1]] if leading else None

    @property
    def configuration(self) -> frozenset[int]:
        """The members by the newest configuration that was applied anywhere."""
        return self.canon.configurations[-1][1] if self.canon.configurations else frozenset()

    def removals(self) -> set[int]:
        """The members that were removed."""
        tree = self.canon.reference.store.tree
        return {number for number in self.members if is_removed(tree, number)}

    def fingerprint(self) -> str:
        """Equal for equal histories."""
        return self._print.hexdigest()

    def figures(self) -> Counter[str]:
        """What has happened, in numbers."""
        figures = Counter(self.counts)
        figures.update(self.network.counts)
        figures.update(self.clients.counts)
        figures.update(self.leadership.counts)
        figures.update(self.canon.counts)
        figures["entries"] = self.canon.last
        figures["commands"] = self.canon.commands
        figures["configurations"] = len(self.canon.configurations)
        figures["truncations"] = self.journals.truncations
        figures["events watched"] = sum(watcher.told for watcher in self.watchers)
        figures["callbacks"] = self.loop.callbacks
        figures["virtual ms"] = self.loop.now_ns // 1_000_000
        return figures

    # -- what happens -----------------------------------------------------------------------

    def tell(self, what: str, *details: object) -> None:
        """Something worth counting has happened."""
        self.counts[what] += 1
        line = f"{self.loop.now_ns} {what} {' '.join(map(str, details))}"
        self._print.update(line.encode())
        if self._trace is not None:
            self._trace(f"{self.loop.now_ns / 1e9:12.6f} {line.partition(' ')[2]}")

    def accuse(self, law: str, detail: str) -> None:
        """A law is broken: the run ends here."""
        violation = Violation(law, _PADDING.sub("-..-", detail))
        self.loop.fail(violation)
        raise violation

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be what asyncio takes for the running loop; in the end nothing is left that runs."""
        with self.loop.running():
            try:
                yield
            finally:
                for member in self.members.values():
                    if member.life is not None:
                        member.life.process.alive = False
                        member.life.process.bury()

    def run_for(self, time_ns: int) -> None:
        """Let time pass."""
        self.loop.run_until(self.loop.now_ns + time_ns)
        self.clients.check_waits()
        self._check_failures()
        for watcher in self.watchers:
            watcher.check()

    def _check_failures(self) -> None:
        for member in self.up:
            mount, process = member.live.mount, member.live.process
            if mount.failed_ns is None or process.stopped:
                continue
            if self.loop.now_ns - max(mount.failed_ns, process.acts_since_ns) > DEATH_NS:
                detail = f"member {member.id} goes on after a sync of its journal has failed"
                self.accuse("a failed sync ends the process", detail)

    def run_while(self, condition: Callable[[], object], time_ns: int) -> bool:
        """Let time pass while the condition holds, but not for longer; tell whether it ended."""
        return self.loop.run_while(condition, self.loop.now_ns + time_ns)

    def _after(self, process: Process | None) -> None:
        if process is None or not process.alive:
            return
        member: Member = process.owner
        status, machine = member.live.node.status, member.live.machine
        self.leadership.observe(member.id, status)
        if status.applied_index != machine.position:
            machine.stands_at(status.applied_index)

    # -- network.Watch ----------------------------------------------------------------------

    def sent(self, sender: int, receiver: int, message: Message) -> None:
        self.leadership.sent(sender, receiver, message)

    def arrives(self, sender: int, receiver: int, message: Message, data: bytes) -> None:
        self._print.update(b"%d %d>%d" % (self.loop.now_ns, sender, receiver))
        self._print.update(data)
        self.counts[type(message).__name__] += 1
        if self._trace is not None:
            self._trace(f"{self.loop.now_ns / 1e9:12.6f} {sender} > {receiver} {message!r:.300}")

    # -- cluster time -----------------------------------------------------------------------

    def _check_stamp(self, watch: JournalWatch, entry: Batch | None, index: int, term: int) -> None:
        """Cluster time passes only while somebody leads, and not faster than clocks do."""
        now_ns = self.loop.now_ns
        led_since_ns = self._led_since_ns.setdefault(term, now_ns)
        self._stamps[index, term] = now_ns
        if entry is None:
            return
        told = watch.told
        for before in range(index - 1, told.first - 1, -1):
            data, its_term = told.data(before), told.term_at(before)
            found = batch_in(data)
            if found is not None:
                break
        else:
            return
        assert its_term is not None
        since_ns = max(led_since_ns, self._stamps[before, its_term])
        if its_term == term:
            since_ns = self._stamps[before, its_term]
        passed_ns = (now_ns - since_ns) * self.mood.clock_rate_max_ppm // 1_000_000 + 1_000_000
        if entry.stamp_ns - found.stamp_ns > passed_ns:
            self.accuse(
                "an outage expires nothing",
                f"entry {index} of member {watch.member} in term {term} lets "
                f"{entry.stamp_ns - found.stamp_ns} ns pass, where {passed_ns} ns at most have",
            )


def batch_in(data: bytes | None) -> Batch | None:
    """The batch in an entry, if it is one."""
    return batch.decode(data) if data is not None else None


@contextmanager
def laboratory() -> Iterator[None]:
    """What worlds need around them: small sizes, watched journals, quiet logs."""
    pin.check()
    with ExitStack() as stack:
        stack.enter_context(journals.watched())
        stack.enter_context(mock.patch("raft.pin.check"))
        for name, size in SMALL.items():
            stack.enter_context(mock.patch(name, size))
        # In which order a snapshot has its nodes must not depend on the hash seed.
        stack.enter_context(mock.patch("kvstore.node_map.hash", zlib.crc32, create=True))
        for name in ("raft", "etcdserver"):
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        yield
