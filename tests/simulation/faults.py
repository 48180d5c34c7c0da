"""Everything that can go wrong, and some that goes right again; each fault is a method by its name.

Law: nothing is broken beyond repair: the members whose disks are lost, and those that are removed,
always leave enough others to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvstore.commands import AddMember, RemoveMember, UpdateMember, encode
from raft import Peer
from raft.messages import Change
from tests.simulation.disk import ROOMY_BYTES, SNAP, WAL, Pace
from tests.simulation.loop import MS
from tests.simulation.member import peer_of

if TYPE_CHECKING:
    import random

    from kvstore.commands import Command
    from tests.simulation.member import Member
    from tests.simulation.world import World


class Faults:
    """What befalls a world."""

    def __init__(self, world: World, luck: random.Random) -> None:
        self.world = world
        self.mood = world.mood
        self.luck = luck
        self._next_member = max(world.members) + 1
        self._updates = 0
        # When a change of the members was asked for last.
        self._changed_ns = 0

    def some(self) -> None:
        """Let happen what the mood likes."""
        for name, chance in self.mood.faults.items():
            if self.luck.random() < chance:
                getattr(self, name)()

    # -- members --------------------------------------------------------------------

    def _any_up(self) -> Member | None:
        up = self.world.up
        return self.luck.choice(up) if up else None

    def crash(self) -> None:
        """A member dies."""
        if (member := self._any_up()) is not None:
            member.crash(power=self.luck.random() < 0.6)

    def crash_leader(self) -> None:
        """The leader dies."""
        if (member := self.world.leader) is not None:
            member.crash(power=self.luck.random() < 0.6)

    def power_cut(self) -> None:
        """All members die."""
        self.world.tell("power cut")
        for member in self.world.up:
            member.crash(power=True)

    def boot(self) -> None:
        """A member that is down is started again."""
        down = [member for member in self.world.members.values() if member.can_boot]
        if down:
            self.luck.choice(down).boot()

    def stop(self) -> None:
        """A member is told to stop."""
        if (member := self._any_up()) is not None:
            member.live.stop()

    def transfer(self) -> None:
        """The leader is told to stop, and hands leadership over."""
        if (member := self.world.leader) is not None:
            member.live.stop()

    def pause(self) -> None:
        """A process is stopped (SIGSTOP)."""
        if (member := self._any_up()) is not None:
            member.live.process.stop()
            self.world.tell("pause", member.id)

    def go_on(self) -> None:
        """A stopped process goes on."""
        for member in self.world.up:
            if member.live.process.stopped and self.luck.random() < 0.7:
                member.live.process.go_on()
                self.world.tell("go on", member.id)

    def wall_clock(self) -> None:
        """Somebody sets a clock."""
        if (member := self._any_up()) is not None:
            member.live.clocks.ahead_ns = self.world.wall_clock_ahead_ns(self.luck)
            self.world.tell("wall clock", member.id)

    # -- network --------------------------------------------------------------------

    def _pairs(self) -> list[tuple[int, int]]:
        members = sorted(self.world.members)
        return [(one, other) for one in members for other in members if one != other]

    def _cut(self, pairs: list[tuple[int, int]], what: str) -> None:
        world = self.world
        world.tell(what, *pairs)
        # Some partitions are noticed at once, some not before something times out.
        at_once = self.luck.random() < 0.5
        for one, other in pairs:
            world.network.cut(one, other)
            wait_ns = 0 if at_once else int(self.luck.random() * 8 * world.election_ns)
            world.loop.schedule(world.loop.now_ns + wait_ns, self._break_if_cut, one, other)

    def _break_if_cut(self, one: int, other: int) -> None:
        if self.world.network.link(one, other).cut:
            self.world.network.reset(one, other)

    def _cut_off(self, side: set[int], what: str) -> None:
        self._cut([pair for pair in self._pairs() if (pair[0] in side) != (pair[1] in side)], what)

    def partition(self) -> None:
        """Some members are cut off from the others."""
        members = sorted(self.world.members)
        if len(members) > 1:
            size = self.luck.randrange(1, len(members))
            self._cut_off(set(self.luck.sample(members, size)), "partition")

    def isolate_leader(self) -> None:
        """The leader is cut off, alone or with some others."""
        if (leader := self.world.leader) is not None:
            others = sorted(set(self.world.members) - {leader.id})
            company = self.luck.sample(others, self.luck.randrange(len(others) // 2 + 1))
            self._cut_off({leader.id, *company}, "isolate leader")

    def one_way(self) -> None:
        """Nothing gets from one member to some others, while all gets back."""
        if (member := self._any_up()) is not None:
            pairs = [pair for pair in self._pairs() if pair[0] == member.id]
            if pairs:
                self._cut(self.luck.sample(pairs, self.luck.randint(1, len(pairs))), "one way")

    def one_way_leader(self) -> None:
        """Nothing gets to the leader, or nothing from it."""
        if (leader := self.world.leader) is not None:
            end = self.luck.randrange(2)
            self._cut([p for p in self._pairs() if p[end] == leader.id], "one way leader")

    def reset(self) -> None:
        """A connection breaks."""
        pairs = self._pairs()
        if pairs:
            self.world.network.reset(*self.luck.choice(pairs))

    def slow_link(self) -> None:
        """A link gets slower than an election takes."""
        pairs = self._pairs()
        if pairs:
            link = self.world.network.link(*self.luck.choice(pairs))
            link.slow_ns = int(self.luck.choice((0.2, 0.6, 1.5, 3.0)) * self.world.election_ns)
            self.world.tell("slow link")

    def mend(self) -> None:
        """The network is whole again."""
        self.world.network.mend_all()
        self.world.tell("mend")

    def slow_apply(self) -> None:
        """A member takes its time to apply."""
        if (member := self._any_up()) is not None:
            member.live.machine.slow_ns = self.luck.choice((1, 5, 20)) * MS
            self.world.tell("slow apply", member.id)

    # -- disks ----------------------------------------------------------------------

    def slow_disk(self) -> None:
        """A disk gets slow."""
        if (member := self._any_up()) is not None:
            sync_ns = self.luck.choice((3, 10, 40)) * MS
            member.disk.pace = Pace(sync_ns, hiccup=0.02, hiccup_ns=10 * sync_ns)
            self.world.tell("slow disk", member.id)

    def heal_disks(self) -> None:
        """All disks are quick and roomy, and so are all members."""
        for member in self.world.members.values():
            if member.life is not None:
                member.life.machine.slow_ns = 0
            member.disk.pace = self.mood.pace
            member.disk.capacity_bytes = ROOMY_BYTES

    def stall(self) -> None:
        """A disk hangs for a while; it may turn out that the power was going."""
        if (member := self._any_up()) is not None:
            stall_ns = self.luck.choice((1, 5, 15)) * self.world.election_ns
            member.disk.stall_ns = int(stall_ns * self.luck.random())
            member.disk.dies_of_stall = self.luck.random() < 0.3
            self.world.tell("stall", member.id)

    def power_loss(self) -> None:
        """The power fails in the middle of an operation to come."""
        if (member := self._any_up()) is not None:
            member.disk.lose_power_after(self.luck.randrange(40))

    def fail_sync(self) -> None:
        """A sync fails."""
        if (member := self._any_up()) is not None:
            member.disk.fails_below = self.luck.choice((WAL, WAL, SNAP))
            self.world.tell("failing sync", member.id)

    def full_disk(self) -> None:
        """A disk is full."""
        if (member := self._any_up()) is not None:
            used = sum(size for _path, size in member.disk.files())
            member.disk.capacity_bytes = used + self.luck.choice((0, 10_000, 100_000))
            self.world.tell("full disk", member.id)

    def _whole(self) -> list[Member]:
        """The members whose disks are as they should be, if one of them may be spared."""
        world = self.world
        members = [world.members[number] for number in world.configuration]
        whole = [member for member in members if not member.journal.damaged]
        return whole if 2 * (len(whole) - 1) > len(members) else []

    def flip(self) -> None:
        """A bit of a dead member's files flips, if the others are enough without it."""
        world = self.world
        dead = [member for member in self._whole() if not member.up]
        if not dead:
            return
        member = self.luck.choice(dead)
        files = [(path, size) for path, size in member.disk.files() if size]
        if files and member.can_boot:
            path, size = self.luck.choice(files)
            member.disk.flip(path, self.luck.randrange(8 * size))
            member.journal.damaged = True
            world.tell("flip", member.id, path)
            member.boot()

    def wipe(self) -> None:
        """A member loses its disk, if the others know that it had one, and starts as if new."""
        victims = [member for member in self._whole() if self._is_known(member)]
        if victims:
            member = self.luck.choice(victims)
            founds = self._may_found(member) and self.luck.random() < 0.5
            self._wipe(member, self.world.founders if founds else (), counts=False)

    def forget(self) -> None:
        """A founder loses its disk, although others may be without what it had, and starts anew.

        It is the only one that ever did. Whoever does not know that it had data must not be able to
        believe that it never had some; and no change of the members was ever asked for, so that it
        is clear who they are.
        """
        victims = [member for member in self._whole() if self._may_forget(member)]
        if victims and not self._changed_ns:
            self._wipe(self.luck.choice(victims), self.world.founders, counts=True)

    def _wipe(self, member: Member, founders: tuple[Peer, ...], *, counts: bool) -> None:
        member.crash(power=True)
        if not member.up:
            member.wipe(founders=founders, counts=counts)
            member.boot()

    def _may_forget(self, member: Member) -> bool:
        others = [other for other in self._whole() if other is not member]
        return (
            self._may_found(member)
            and not any(each.journal.lost for each in self.world.members.values())
            and member.known_since > 0
            and all(self._tells_apart(other, member) for other in others)
        )

    def _tells_apart(self, other: Member, member: Member) -> bool:
        """Whether one has data itself, and knows for good of another one's or of no majority's."""
        if other.journal.durable.last <= 1:
            return False
        committed = other.live.node.journal.commit if other.up else other.journal.snapshot_index
        if member.known_since <= committed:
            return True
        members = [self.world.members[number] for number in self.world.configuration]
        end = other.journal.durable.last
        # An index of 0: its request had no answer yet, so it may be anywhere.
        known = sum(bool(each.publications) and each.known_since <= end for each in members)
        return 2 * known <= len(members)

    def _is_known(self, member: Member) -> bool:
        """Whether all others know for good of the data of this one, and need none of it.

        Nor will they soon: no change of the members is under way that makes them fewer.
        """
        world = self.world
        since, end = member.known_since, member.journal.durable.last
        quiet = world.loop.now_ns - self._changed_ns > world.request_timeout_ns
        others = [other for other in world.members.values() if other is not member]
        return (
            since > 0
            and quiet
            and all(
                other.serves
                and other.live.birth_of(member.id)
                and other.live.node.journal.commit >= since
                and other.journal.durable.last >= end
                and {peer.id for peer in other.live.node.peers} == world.configuration
                for other in others
                if other.lives and not other.gone and not other.journal.damaged
            )
        )

    def _may_found(self, member: Member) -> bool:
        """Whether it is a founder, and those that have forgotten are too few to found anew.

        A majority of founders that all start as new is a new cluster, whoever else there is.
        """
        founders = [peer.id for peer in self.world.founders]
        forgot = [number for number in founders if self.world.members[number].journal.lost]
        return member.id in founders and 2 * (len(forgot) + 1) <= len(founders)

    # -- members come and go --------------------------------------------------------

    def _change(self, kind: str, peer: Peer, command: Command) -> None:
        if (member := self._any_up()) is not None and member.serves:
            self.world.tell(f"ask to {kind}", peer.id)
            self._changed_ns = self.world.loop.now_ns
            self.world.clients.change(member, Change(kind, peer), encode(command))

    def add(self) -> None:
        """A new member is asked for; it may come before, after, or never."""
        if len(self.world.configuration) < self.mood.members_max:
            number, self._next_member = self._next_member, self._next_member + 1
            peer = peer_of(number)
            self._change("add", peer, AddMember(number, peer.urls))
            member = self.world.add(number)
            if self.luck.random() < 0.7:
                member.boot()

    def _may_lose(self, number: int) -> bool:
        """Whether the others can go on without that member."""
        world = self.world
        left = world.configuration - {number}
        able = [n for n in left if not world.members[n].journal.damaged and world.members[n].lives]
        return bool(left) and 2 * len(able) > len(left)

    def _remove(self, number: int) -> None:
        if self._may_lose(number):
            self._change("remove", peer_of(number), RemoveMember(number))

    def remove(self) -> None:
        """A member is to be removed."""
        if self.world.configuration:
            self._remove(self.luck.choice(sorted(self.world.configuration)))

    def remove_leader(self) -> None:
        """The leader is to be removed."""
        if (leader := self.world.leader) is not None:
            self._remove(leader.id)

    def update(self) -> None:
        """A member is to have another URL."""
        if self.world.configuration:
            number = self.luck.choice(sorted(self.world.configuration))
            self._updates += 1
            urls = (f"http://member{number}:{2380 + self._updates}",)
            self._change("update", Peer(number, urls), UpdateMember(number, urls))

    def replace(self) -> None:
        """A member whose disk is damaged or lost is removed, and another one comes."""
        for number in sorted(self.world.configuration):
            if self.world.members[number].refuses is not None:
                self._remove(number)
                self.add()
                return

    def strange(self) -> None:
        """A change that makes no sense, and is refused unless things have changed meanwhile."""
        world, luck = self.world, self.luck
        configuration = sorted(world.configuration)
        known = luck.choice(sorted(world.members))
        urls = peer_of(known).urls
        if known in world.removals():
            self._change("add", peer_of(known), AddMember(known, urls))
        elif known not in configuration or len(configuration) == 1:
            self._change("remove", peer_of(known), RemoveMember(known))
        elif luck.random() < 0.4:
            self._change("add", peer_of(known), AddMember(known, urls))
        else:
            # Another one that says to live where that one lives.
            number, self._next_member = self._next_member, self._next_member + 1
            world.add(number)
            self._change("update", Peer(number, urls), UpdateMember(number, urls))
            self._change("add", Peer(number, urls), AddMember(number, urls))

    def haunt(self) -> None:
        """A member that was removed, and knows it, is started again: it must go again."""
        gone = [m for m in self.world.members.values() if m.gone and not m.up]
        if gone:
            member = self.luck.choice(gone)
            member.gone = False
            member.boot()
