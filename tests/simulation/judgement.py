"""Peace and judgement: what must hold when everything is healed and everybody is there again.

Laws:

* "convergence": within bounded time there is a leader, all members stand at one index with equal
  digests, and each of them takes a write and a quorum read.
* "the removed stop", unless they know nobody any more who could tell them.
* "what runs out does": keys with a TTL go once time goes on.
* "equal digests": with each other, and with a state machine that is fed with the log alone.
* "all see the same": the leader, the members (also in the store's register of them), and how far
  each of them is.
* linearizability of what clients saw of each key.

That nothing acknowledged is lost follows: an acknowledged write was found in the one history when
its client heard of it, and here all members have applied all of that history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvstore import register
from kvstore.commands import Set
from tests.simulation.clients import OK
from tests.simulation.disk import ROOMY_BYTES, Pace
from tests.simulation.loop import MS, NS_PER_S
from tests.simulation.network import Weather
from tests.simulation.rot import reseal, spoil
from tests.simulation.workload import TTL_MAX_S

if TYPE_CHECKING:
    from tests.simulation.member import Member
    from tests.simulation.world import World


def judge(world: World) -> None:
    """Heal the world and judge it; raises Violation."""
    _heal(world)
    _converge(world)
    _serve_everywhere(world)
    _let_run_out(world)
    _compare(world)
    _compare_views(world)
    for member in _present(world):
        spoil(member)
        reseal(member)
    world.clients.check_histories()


def _heal(world: World) -> None:
    """Nothing goes wrong from here on."""
    world.tell("peace")
    world.network.weather = Weather()
    world.network.mend_all()
    world.clocks_are_odd = False
    for member in world.members.values():
        member.disk.pace = Pace()
        member.disk.capacity_bytes = ROOMY_BYTES
        member.disk.calm()
        if member.life is not None:
            member.life.machine.slow_ns = 0
            if member.life.process.stopped:
                member.life.process.go_on()
    # What a disk was stalled with before takes its time. Full disks are looked at every second.
    stalled_ns = max(member.disk.syncs_until_ns for member in world.members.values())
    world.run_for(max(0, stalled_ns - world.loop.now_ns) + 2 * world.election_ns + NS_PER_S)
    _boot_all(world)


def _boot_all(world: World) -> None:
    for member in world.members.values():
        if member.can_boot:
            member.boot()


def _converge(world: World) -> None:
    limit_ns = 60 * NS_PER_S + 30 * world.election_ns
    end_ns = world.loop.now_ns + limit_ns
    while (lacking := _lacking(world)) is not None:
        if world.loop.now_ns > end_ns:
            world.accuse("convergence", f"after {limit_ns // NS_PER_S} s of peace: {lacking}")
        world.run_for(100 * MS)
        _boot_all(world)


def _lacking(world: World) -> str | None:
    """What is missing for convergence."""
    leader = world.leader
    if leader is None:
        return "nobody leads"
    wanted = {n for n in world.configuration if world.members[n].refuses is None}
    running = {member.id for member in world.up}
    if not wanted <= running:
        return f"{sorted(wanted - running)} do not run"
    late = [m.id for m in world.up if m.id in world.removals() and _can_learn(m)]
    if late:
        return f"{late} are removed and run"
    if leader.live.node.status.term != max(m.live.node.status.term for m in world.up):
        return "terms differ"
    at = {m.id: m.live.node.applied_index for m in world.up if m.id in wanted}
    if set(at.values()) != {world.canon.last}:
        return f"of {world.canon.last} entries are applied: {at}"
    if world.clients.waiting:
        return f"{world.clients.waiting} requests wait"
    return None


def _can_learn(removed: Member) -> bool:
    """Whether a member that was removed knows somebody who can tell it so."""
    world = removed.world
    known = {peer.id for peer in removed.live.node.peers}
    return any(member.id in known for member in _present(world))


def _present(world: World) -> list[Member]:
    return [member for member in world.up if member.id in world.configuration]


def _serve_everywhere(world: World) -> None:
    """Each member takes a write and a read."""
    asked = []
    for member in _present(world):
        key = b"/r%d" % member.id
        asked.append(world.clients.write(member, Set(key, b"peace at %d" % world.loop.now_ns)))
        asked.append(world.clients.read(member, key))
    world.run_while(lambda: world.clients.waiting, 2 * world.request_timeout_ns)
    world.run_for(4 * world.election_ns)
    failed = [operation for operation in asked if operation.outcome != OK]
    if failed:
        world.accuse("convergence", f"in peace a request fails: {failed[0]}")


def _let_run_out(world: World) -> None:
    """Keys with a TTL go."""
    deadlines = world.canon.reference.store.tree.deadlines
    if not world.run_while(lambda: deadlines.count, (TTL_MAX_S + 5) * NS_PER_S):
        world.accuse("what runs out does", f"{deadlines.count} keys with a TTL are left")
    world.run_for(4 * world.election_ns)


def _compare(world: World) -> None:
    """All are equal, and nothing is missing."""
    digest = world.canon.reference.digest()
    for member in _present(world):
        life = member.live
        if life.node.applied_index != world.canon.last:
            detail = f"member {member.id} is at {life.node.applied_index} in the end"
            world.accuse("convergence", detail)
        if (error := life.process.unheeded()) is not None:
            world.accuse("failures are looked at", f"member {member.id}: {error!r}")
        if life.machine.digest() != digest:
            detail = f"member {member.id} differs from what the log alone makes"
            world.accuse("equal digests", detail)
    for watcher in world.watchers:
        watcher.check()


def _compare_views(world: World) -> None:
    """What members say of the cluster agrees."""
    leader, present = world.leader, _present(world)
    assert leader is not None
    for member in present:
        node = member.live.node
        seen: dict[str, object] = {
            "leader": node.status.leader,
            "members": {peer.id for peer in node.peers},
            "register": {entry.id for entry in register(member.live.machine.store.tree)},
            "connected": {m.id for m in present if node.connected_since(m.id) is not None},
        }
        expected = {
            "leader": leader.id,
            "members": set(world.configuration),
            "register": set(world.configuration),
            "connected": {m.id for m in present},
        }
        if member is leader:
            seen["progress"] = {m.id: node.progress.get(m.id) for m in present}
            up_to_date = (world.canon.last, world.canon.last + 1, "StateReplicate")
            expected["progress"] = {m.id: up_to_date for m in present} | {leader.id: None}
        elif node.progress:
            world.accuse("all see the same", f"member {member.id} follows and knows progress")
        flows = [*node.traffic.sending.rates(), *node.traffic.receiving.rates()]
        if min(flows) < 0 or node.leader_changes < 1 or node.leader_since_ns <= 0:
            detail = f"member {member.id} counts {flows}, {node.leader_changes} leaders"
            world.accuse("all see the same", detail)
        if seen != expected:
            detail = f"member {member.id} sees {seen} instead of {expected}"
            world.accuse("all see the same", detail)
