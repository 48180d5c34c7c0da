"""Three members of each server on this machine: latency, rate, failover, catching up, idling.

Method: both clusters run the whole time and are driven in turns, as in throughput.py. Each member
has default timing, a directory of its own and nothing between it and the others. All three
share the machine's cores with each other and with wrk, so only ratios say something.

* failover: the leader gets SIGKILL; from then on both survivors get a new PUT every 20 ms, each
  on a connection of its own; the first acknowledgement counts. (A request sent at once may be
  lost with the old leader, and tells then more about time-outs than about elections.) Silent: it
  gets SIGSTOP, so that its connections stay open and only time tells that it is gone.
* catch-up: a follower gets SIGKILL and misses so many writes; counted is from its start until it
  tells the index the others have.
* idle: CPU time of the three processes over ten seconds without a client.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from bench import machine, wrk
from bench.errors import BenchError
from bench.figures import print_table, spread, write_json
from bench.loader import load
from bench.others import Others
from bench.servers import workspace
from bench.wrk import Load, Sample
from tests.cluster.client import Broken, Late, NotSent, keys
from tests.cluster.cluster import Cluster, NotReady
from tests.cluster.member import Member
from tests.cluster.network import Direct
from tests.cluster.programs import Program, etcd, pyetcd

MEMBERS: Final = 3
KEYS: Final = 1000
VALUE_BYTES: Final = 64
IDLE_S: Final = 10.0
_WARM_UP_S: Final = 1
_ATTEMPT_S: Final = 0.02
_ANSWER_S: Final = 10.0
_CATCH_UP_S: Final = 300.0
_POLL_S: Final = 0.01

LOADS: Final = (
    ("PUT", 1, "leader"),
    ("PUT", 1, "follower"),
    ("PUT", 64, "leader"),
    ("PUT", 64, "follower"),
    ("QGET", 1, "leader"),
    ("QGET", 1, "follower"),
    ("QGET", 64, "leader"),
    ("QGET", 64, "follower"),
)


@dataclass(slots=True)
class Measured:
    """One kind of server's cluster, and what was measured on it."""

    cluster: Cluster
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    failover_s: list[float] = field(default_factory=list)
    silent_failover_s: list[float] = field(default_factory=list)
    catch_up_s: float = 0.0
    idle_share: float = 0.0

    @property
    def kind(self) -> str:
        """etcd or pyetcd."""
        return self.cluster.program.kind


def measure(
    *,
    rounds: int,
    seconds: int,
    failovers: int,
    missed: int,
    json_file: str | None,
    directory: str | None,
) -> None:
    """Run all of it and print it."""
    wrk.program()
    with workspace(directory) as space:
        facts = machine.facts(space)
        machine.print_facts(facts)
        try:
            found = asyncio.run(_measure(space, facts, rounds, seconds, failovers, missed))
        except NotReady as failure:
            raise BenchError(str(failure)) from failure
    _print(found, rounds, seconds, missed)
    print(f"\nother processes had {facts['others']} under load")
    write_json(json_file, {"facts": facts, **{one.kind: _as_json(one) for one in found}})


async def _measure(
    space: Path, facts: dict[str, str], rounds: int, seconds: int, failovers: int, missed: int
) -> list[Measured]:
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for program in (etcd(), pyetcd()):
            cluster = await stack.enter_async_context(_cluster(program, space))
            found.append(Measured(cluster))
        for one in found:
            one.idle_share = await _idle(one.cluster)
            leader = await one.cluster.leader()
            await asyncio.to_thread(
                load, leader.place.client_port, keys=KEYS, value_bytes=VALUE_BYTES
            )
        others = Others([member.pid for one in found for member in one.cluster.members])
        await _rounds(found, rounds, seconds)
        facts["others"] = f"{others.share():.0%} of the processor time"
        for number in range(failovers):
            for one in found:
                one.failover_s.append(await _failover(one.cluster, Member.kill))
                one.silent_failover_s.append(await _failover(one.cluster, Member.pause))
            said = ", ".join(
                f"{one.kind} {one.failover_s[-1]:.2f} s, silent {one.silent_failover_s[-1]:.2f} s"
                for one in found
            )
            print(f"failover {number + 1} of {failovers}: {said}", flush=True)
        if missed:
            for one in found:
                one.catch_up_s = await _catch_up(one.cluster, missed)
                print(f"{one.kind} caught up in {one.catch_up_s:.2f} s", flush=True)
        return found


@contextlib.asynccontextmanager
async def _cluster(program: Program, space: Path) -> AsyncIterator[Cluster]:
    home = space / program.kind
    home.mkdir()
    cluster = Cluster(program, Direct(), space=home, size=MEMBERS)
    async with cluster.running():
        yield cluster


async def _rounds(found: list[Measured], rounds: int, seconds: int) -> None:
    for number in range(-1, rounds):
        for method, connections, at in LOADS:
            for one in found:
                member = await _member(one.cluster, at)
                length = seconds if number >= 0 else _WARM_UP_S
                load_ = Load(method, connections, length, KEYS, VALUE_BYTES)
                url = f"http://127.0.0.1:{member.place.client_port}"
                sample = await asyncio.to_thread(wrk.run, url, load_)
                if number >= 0:
                    name = _name(method, connections, at)
                    one.samples.setdefault(name, []).append(sample)
        if number >= 0:
            print(f"round {number + 1} of {rounds}", flush=True)


def _name(method: str, connections: int, at: str) -> str:
    return f"{method:4} {connections:2} {at}"


async def _member(cluster: Cluster, at: str) -> Member:
    leader = await cluster.leader()
    if at == "leader":
        return leader
    return next(member for member in cluster.members if member is not leader)


async def _idle(cluster: Cluster) -> float:
    """The part of one core that all members together take without any client."""
    before = sum(member.cpu_seconds() for member in cluster.members)
    began = time.monotonic()
    await asyncio.sleep(IDLE_S)
    used = sum(member.cpu_seconds() for member in cluster.members) - before
    return used / (time.monotonic() - began)


async def _failover(cluster: Cluster, end: Callable[[Member], None]) -> float:
    leader = await cluster.leader()
    survivors = [member for member in cluster.members if member is not leader]
    acknowledged = asyncio.get_running_loop().create_future()
    attempts: set[asyncio.Task[None]] = set()
    end(leader)
    ended = time.monotonic()
    while not acknowledged.done():
        if time.monotonic() > ended + _ANSWER_S * 2:
            raise BenchError("no write was acknowledged after the leader's end")
        for member in survivors:
            attempts.add(asyncio.create_task(_attempt(member, acknowledged)))
        await asyncio.wait((acknowledged,), timeout=_ATTEMPT_S)
    for attempt in attempts:
        attempt.cancel()
    await asyncio.gather(*attempts, return_exceptions=True)
    leader.kill()
    cluster.spawn(leader)
    await cluster.until_healthy()
    return float(acknowledged.result()) - ended


async def _attempt(member: Member, acknowledged: "asyncio.Future[float]") -> None:
    client = member.client()
    try:
        answer = await client.ask("PUT", keys("/failover"), {"value": "x"}, timeout_s=_ANSWER_S)
    except (NotSent, Broken, Late):
        return
    finally:
        client.close()
    if answer.status in (200, 201) and not acknowledged.done():
        acknowledged.set_result(time.monotonic())


async def _catch_up(cluster: Cluster, missed: int) -> float:
    leader = await cluster.leader()
    member = next(member for member in cluster.members if member is not leader)
    member.kill()
    port = leader.place.client_port
    await asyncio.to_thread(load, port, keys=missed, value_bytes=VALUE_BYTES)
    goal = await _index(leader)
    cluster.spawn(member)
    began = time.monotonic()

    async def caught_up() -> bool:
        return await _index(member) >= goal

    await cluster.until(caught_up, f"{member} has caught up", deadline_s=_CATCH_UP_S)
    took = time.monotonic() - began
    await cluster.until_healthy()
    return took


async def _index(member: Member) -> int:
    """The index a member tells; 0 if it tells none."""
    client = member.client()
    try:
        return (await client.ask("GET", keys("/bench/d000/k000"), timeout_s=1.0)).index
    except (NotSent, Broken, Late):
        await asyncio.sleep(_POLL_S)
        return 0
    finally:
        client.close()


def _print(found: list[Measured], rounds: int, seconds: int, missed: int) -> None:
    theirs, ours = found
    print(
        f"\n{MEMBERS} members each; {KEYS} keys of {VALUE_BYTES} bytes, {rounds} rounds of "
        f"{seconds} s in turns, medians; ratio = pyetcd's rate / etcd's\n"
    )
    rows = []
    for name, samples in theirs.samples.items():
        row = [name]
        for mine in (samples, ours.samples[name]):
            row.append(f"{spread([sample.rate for sample in mine]).median:,.0f}/s")
            row.append(f"{spread([sample.p50_us for sample in mine]).median / 1e3:.2f}")
            row.append(f"{spread([sample.p99_us for sample in mine]).median / 1e3:.2f}")
        pairs = zip(samples, ours.samples[name], strict=True)
        ratio = spread([b.rate / a.rate for a, b in pairs])
        row += [f"{ratio.median:.2f}x", f"{ratio.low:.2f}..{ratio.high:.2f}"]
        rows.append(row)
    heads = ("load", "etcd", "p50 ms", "p99 ms", "pyetcd", "p50 ms", "p99 ms", "ratio", "range")
    print_table(heads, rows)
    print()
    rows = [["idle, % of one core", *(f"{one.idle_share:.1%}" for one in found)]]
    if theirs.failover_s:
        rows.append(["failover, s", *(_range(one.failover_s) for one in found)])
        rows.append(["silent failover, s", *(_range(one.silent_failover_s) for one in found)])
    if missed:
        rows.append(
            [f"catch-up of {missed:,} writes, s", *(f"{one.catch_up_s:.2f}" for one in found)]
        )
    print_table(("three members", *(one.kind for one in found)), rows)


def _range(values: list[float]) -> str:
    over = spread(values)
    return f"{over.median:.2f} ({over.low:.2f}..{over.high:.2f})"


def _as_json(one: Measured) -> dict[str, object]:
    return {
        "loads": {name: [asdict(s) for s in samples] for name, samples in one.samples.items()},
        "failover_s": one.failover_s,
        "silent_failover_s": one.silent_failover_s,
        "catch_up_s": one.catch_up_s,
        "idle_share": one.idle_share,
    }
