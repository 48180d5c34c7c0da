"""What can go wrong: each fault does its harm, holds it for a while, and says what it excuses.

Laws: a fault only does harm; undoing it, waiting until all is well and the time of trouble around
it are the nemesis's. What it excuses is as narrow as the program promises: a steady one lets
nobody but a follower's own clients notice what befalls that follower.
"""

import shutil
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from tests.cluster.cluster import Cluster
from tests.cluster.disks import can_limit
from tests.cluster.member import Member, now
from tests.cluster.stage import Scope, Stage, names

FLAPS = 12
FLAP_S = (0.05, 0.4)
DELAYS_S = (0.02, 0.05, 0.2)
SLOW_WRITES_PER_S = (10, 30, 100)
RESETS = 5
LIVES = 3


Action = Callable[[Stage], Awaitable[Scope]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of harm."""

    name: str
    act: Action
    possible: Callable[[Cluster], bool] = field(default=lambda cluster: True)


# -- processes ------------------------------------------------------------------------------


async def kill_follower(stage: Stage) -> Scope:
    victim = await stage.follower()
    victim.kill()
    await stage.hold(0.0, 6.0)
    return stage.only(victim, silent=True)


async def kill_leader(stage: Stage) -> Scope:
    victim = await stage.leader()
    victim.kill()
    await stage.hold(0.0, 6.0)
    return Scope(silent=names([victim]))


async def kill_again(stage: Stage) -> Scope:
    """Killed again and again while it starts."""
    victim = stage.chance.choice(stage.cluster.members)
    for _ in range(LIVES):
        victim.kill()
        stage.cluster.spawn(victim)
        await stage.hold(0.05, 1.0)
    victim.kill()
    return Scope(silent=names([victim]))


async def kill_majority(stage: Stage) -> Scope:
    victims = stage.some(stage.majority)
    for victim in victims:
        victim.kill()
    await _outage(stage, 1.0, 9.0)
    return Scope(silent=names(victims))


async def kill_all(stage: Stage) -> Scope:
    for victim in stage.some(len(stage.cluster.members)):
        victim.kill()
    await _outage(stage, 0.0, 9.0)
    return Scope(silent=names(stage.cluster.members))


async def one_of_all_starts(stage: Stage) -> Scope:
    """All are killed, one comes back: it must serve what it knew, if the program says so."""
    cluster = stage.cluster
    for victim in cluster.members:
        victim.kill()
    began = now()
    lone = stage.chance.choice(cluster.members)
    cluster.spawn(lone)

    async def serves() -> bool:
        return (await lone.get("/v2/keys/"))[0] == 200

    if cluster.program.serves_without_quorum:
        await cluster.until(serves, f"{lone}, started without quorum, serves local reads")
    await stage.hold(0.0, 3.0)
    stage.outages.append((began, now()))
    return Scope(silent=names(cluster.members))


async def stop_leader(stage: Stage) -> Scope:
    victim = await stage.leader()
    await _end(stage, victim)
    await stage.hold(0.0, 3.0)
    return Scope(silent=names([victim]))


async def stop_follower(stage: Stage) -> Scope:
    victim = await stage.follower()
    await _end(stage, victim)
    await stage.hold(0.0, 3.0)
    return stage.only(victim, silent=True)


async def pause_follower(stage: Stage) -> Scope:
    victim = await stage.follower()
    victim.pause()
    await stage.hold(0.5, 8.0)
    return stage.only(victim, silent=True)


async def pause_leader(stage: Stage) -> Scope:
    victim = await stage.leader()
    victim.pause()
    await stage.hold(0.3, 8.0)
    return Scope(silent=names([victim]))


async def pause_majority(stage: Stage) -> Scope:
    victims = stage.some(stage.majority)
    for victim in victims:
        victim.pause()
    await _outage(stage, 0.5, 9.0)
    return Scope(silent=names(victims))


async def pause_all(stage: Stage) -> Scope:
    for victim in stage.cluster.members:
        victim.pause()
    await _outage(stage, 0.5, 7.0)
    return Scope(silent=names(stage.cluster.members))


async def pause_in_turn(stage: Stage) -> Scope:
    """The leader is paused, then its successor, then the first one wakes up and knows nothing."""
    first = await stage.leader()
    first.pause()
    second = await stage.leader()
    second.pause()
    first.resume()
    await stage.hold(0.5, 3.0)
    return Scope(silent=names([first, second]))


async def _outage(stage: Stage, least_s: float, most_s: float) -> None:
    began = now()
    await stage.hold(least_s, most_s)
    stage.outages.append((began, now()))


async def _end(stage: Stage, member: Member) -> None:
    member.terminate()

    async def ended() -> bool:
        return not member.running

    await stage.cluster.until(ended, f"{member} ends on SIGTERM")
    code = member.exit_code
    if code not in (0, -15):
        raise AssertionError(f"{member} ended on SIGTERM with {code}:\n{member.log()}")


# -- ways -----------------------------------------------------------------------------------


async def cut_leader(stage: Stage) -> Scope:
    leader = await stage.leader()
    stage.cut([leader], stage.others(leader))
    await stage.hold(1.0, 9.0)
    return Scope()


async def cut_follower(stage: Stage) -> Scope:
    victim = await stage.follower()
    stage.cut([victim], stage.others(victim))
    await stage.hold(1.0, 9.0)
    return stage.only(victim, silent=False)


async def leader_is_not_heard(stage: Stage) -> Scope:
    leader = await stage.leader()
    stage.cut([leader], stage.others(leader), back=False)
    await stage.hold(1.0, 8.0)
    return Scope()


async def leader_hears_nothing(stage: Stage) -> Scope:
    leader = await stage.leader()
    stage.cut(stage.others(leader), [leader], back=False)
    await stage.hold(1.0, 8.0)
    return Scope()


async def follower_is_not_heard(stage: Stage) -> Scope:
    victim = await stage.follower()
    stage.cut([victim], stage.others(victim), back=False)
    await stage.hold(1.0, 8.0)
    return stage.only(victim, silent=False)


async def follower_hears_nothing(stage: Stage) -> Scope:
    victim = await stage.follower()
    stage.cut(stage.others(victim), [victim], back=False)
    await stage.hold(1.0, 8.0)
    return stage.only(victim, silent=False)


async def cut_in_halves(stage: Stage) -> Scope:
    """The leader is with the smaller half."""
    leader = await stage.leader()
    others = stage.others(leader)
    stage.chance.shuffle(others)
    small = [leader, *others[: len(stage.cluster.members) - stage.majority - 1]]
    stage.cut(small, stage.others(*small))
    await stage.hold(1.0, 9.0)
    return Scope()


async def cut_between_two(stage: Stage) -> Scope:
    """Two members do not reach each other; both reach all others."""
    one, other = stage.some(2)
    stage.cut([one], [other])
    await stage.hold(1.0, 8.0)
    return Scope()


async def cut_everything(stage: Stage) -> Scope:
    members = stage.cluster.members
    for member in members:
        stage.cut([member], stage.others(member))
    await _outage(stage, 1.0, 8.0)
    return Scope()


async def flap(stage: Stage) -> Scope:
    """The leader's ways come and go."""
    leader = await stage.leader()
    for _ in range(FLAPS):
        stage.cut([leader], stage.others(leader), back=stage.chance.random() < 0.5)
        await stage.hold(*FLAP_S)
        stage.cluster.network.heal()
        await stage.hold(*FLAP_S)
    return Scope()


async def slow_ways(stage: Stage) -> Scope:
    for one in stage.cluster.members:
        for other in stage.others(one):
            seconds = stage.chance.choice(DELAYS_S)
            stage.cluster.network.delay(one.name, other.name, seconds)
    await stage.hold(2.0, 8.0)
    return Scope()


async def reset_connections(stage: Stage) -> Scope:
    for _ in range(RESETS):
        stage.cluster.network.reset([stage.chance.choice(stage.cluster.members).name])
        await stage.hold(0.1, 1.0)
    return Scope()


async def unplug(stage: Stage) -> Scope:
    """Clients do not reach it either."""
    victim = stage.chance.choice(stage.cluster.members)
    stage.cluster.network.unplug(victim.name)
    await stage.hold(1.0, 8.0)
    return Scope(silent=names([victim]))


# -- disks ----------------------------------------------------------------------------------


async def fill_leaders_disk(stage: Stage) -> Scope:
    return await _fill(stage, await stage.leader(), leads=True)


async def fill_followers_disk(stage: Stage) -> Scope:
    return await _fill(stage, await stage.follower(), leads=False)


async def _fill(stage: Stage, victim: Member, *, leads: bool) -> Scope:
    if not stage.cluster.program.survives_full_disk:
        stage.may_end.add(victim.name)
    disk = stage.cluster.disks[victim.name]
    disk.fill(leave_bytes=stage.chance.choice((0, 0, 1 << 20, 16 << 20)))
    await stage.hold(3.0, 8.0)
    if leads or not stage.cluster.program.survives_full_disk:
        ended = not stage.cluster.program.survives_full_disk
        return Scope(silent=names([victim]) if ended else frozenset())
    return stage.only(victim, silent=False)


async def slow_leaders_disk(stage: Stage) -> Scope:
    await _slow(stage, [await stage.leader()])
    return Scope()


async def slow_followers_disk(stage: Stage) -> Scope:
    victim = await stage.follower()
    await _slow(stage, [victim])
    return stage.only(victim, silent=False)


async def slow_all_disks(stage: Stage) -> Scope:
    await _slow(stage, stage.cluster.members)
    return Scope()


async def _slow(stage: Stage, victims: Iterable[Member]) -> None:
    for victim in victims:
        stage.cluster.disks[victim.name].limit(stage.chance.choice(SLOW_WRITES_PER_S))
    await stage.hold(3.0, 8.0)


# -- members --------------------------------------------------------------------------------


async def replace_follower(stage: Stage) -> Scope:
    return await _replace(stage, await stage.follower())


async def replace_leader(stage: Stage) -> Scope:
    return await _replace(stage, await stage.leader())


async def replace_the_dead(stage: Stage) -> Scope:
    """A member that was killed for good is removed, and a fresh one takes its place."""
    victim = stage.chance.choice(stage.cluster.members)
    victim.kill()
    return await _replace(stage, victim)


async def lose_disk(stage: Stage) -> Scope:
    """A member loses its data and is started as if it were new: it must end, and is replaced."""
    victim = stage.chance.choice(stage.cluster.members)
    victim.kill()
    shutil.rmtree(victim.settings["data-dir"])
    victim.settings |= stage.cluster.joining()
    stage.cluster.spawn(victim)

    async def ended() -> bool:
        return not victim.running

    await stage.cluster.until(ended, f"{victim} ends without its data")
    if victim.exit_code != 1 or "has already been bootstrapped" not in victim.log():
        raise AssertionError(f"{victim} ended with {victim.exit_code}:\n{victim.log()}")
    return await _replace(stage, victim)


async def _replace(stage: Stage, victim: Member) -> Scope:
    await stage.cluster.remove(victim)
    await stage.hold(0.0, 1.0)
    fresh = await stage.cluster.add()
    return Scope(silent=names([victim, fresh]))


async def grow_and_shrink(stage: Stage) -> Scope:
    fresh = await stage.cluster.add()
    await stage.hold(0.0, 2.0)
    victim = stage.chance.choice(stage.cluster.members)
    await stage.cluster.remove(victim)
    return Scope(silent=names([victim, fresh]))


def _remembers(cluster: Cluster) -> bool:
    return cluster.program.refuses_without_data


def _can_cut(cluster: Cluster) -> bool:
    return cluster.network.can_cut


def _can_delay(cluster: Cluster) -> bool:
    return cluster.network.can_delay


def _can_unplug(cluster: Cluster) -> bool:
    return cluster.network.can_unplug


def _can_fill(cluster: Cluster) -> bool:
    return bool(cluster.disks)


def _can_slow(cluster: Cluster) -> bool:
    return bool(cluster.disks) and can_limit()


FAULTS: tuple[Fault, ...] = (
    Fault("kill -9 of a follower", kill_follower),
    Fault("kill -9 of the leader", kill_leader),
    Fault("kill -9 at every start", kill_again),
    Fault("kill -9 of a majority", kill_majority),
    Fault("kill -9 of all", kill_all),
    Fault("kill -9 of all, one starts", one_of_all_starts),
    Fault("SIGTERM of the leader", stop_leader),
    Fault("SIGTERM of a follower", stop_follower),
    Fault("SIGSTOP of a follower", pause_follower),
    Fault("SIGSTOP of the leader", pause_leader),
    Fault("SIGSTOP of a majority", pause_majority),
    Fault("SIGSTOP of all", pause_all),
    Fault("SIGSTOP of leaders in turn", pause_in_turn),
    Fault("leader cut off", cut_leader, _can_cut),
    Fault("follower cut off", cut_follower, _can_cut),
    Fault("leader is not heard", leader_is_not_heard, _can_cut),
    Fault("leader hears nothing", leader_hears_nothing, _can_cut),
    Fault("follower is not heard", follower_is_not_heard, _can_cut),
    Fault("follower hears nothing", follower_hears_nothing, _can_cut),
    Fault("cut in two", cut_in_halves, _can_cut),
    Fault("two cut off from each other", cut_between_two, _can_cut),
    Fault("all cut off", cut_everything, _can_cut),
    Fault("flapping ways", flap, _can_cut),
    Fault("slow ways", slow_ways, _can_delay),
    Fault("connections reset", reset_connections, _can_delay),
    Fault("unplugged", unplug, _can_unplug),
    Fault("leader's disk full", fill_leaders_disk, _can_fill),
    Fault("follower's disk full", fill_followers_disk, _can_fill),
    Fault("leader's disk slow", slow_leaders_disk, _can_slow),
    Fault("follower's disk slow", slow_followers_disk, _can_slow),
    Fault("all disks slow", slow_all_disks, _can_slow),
    Fault("follower replaced", replace_follower),
    Fault("leader replaced", replace_leader),
    Fault("dead member replaced", replace_the_dead),
    Fault("disk lost", lose_disk, _remembers),
    Fault("one added, one removed", grow_and_shrink),
)
