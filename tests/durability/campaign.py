"""Rounds of concurrent writes, each ended by SIGKILL, and the reckoning after each restart.

Each writer has keys of its own and one request under way at a time, so it knows what each of its
keys must be: as last acknowledged, or as the one request left without an answer would have made
it. Laws held after each restart: every key is one of these two, X-Etcd-Index is not below the
largest acknowledged, and no index was ever acknowledged twice.
"""

import json
import random
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import quote

from tests.oracle import Closed, Connection, Late, Pyetcd, Request, Response, Server

WRITERS = 16
SNAPSHOT_COUNT = 100
ROUND_MIN_S, ROUND_MAX_S = 0.2, 1.5
KEYS_PER_WRITER = 40
LONG_TTL_S, SHORT_TTL_S = 5000, 1
VALUE_BYTES = (10, 100, 1000, 20_000)
ANSWER_S = 30.0


@dataclass(slots=True)
class Report:
    """The campaign's figures."""

    rounds: int = 0
    acknowledged: int = 0
    unknown: int = 0
    lost: int = 0
    restart_max_s: float = 0.0
    snapshots: int = 0
    rolls: int = 0
    losses: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"rounds {self.rounds}, acknowledged writes {self.acknowledged}, without an answer "
            f"{self.unknown}, lost {self.lost}, longest restart {self.restart_max_s:.2f} s, "
            f"newest snapshot at {self.snapshots}, log segment {self.rolls}"
        )

    def lose(self, what: str) -> None:
        """Note a loss."""
        self.lost += 1
        self.losses.append(what)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A key's value and modifiedIndex."""

    value: str
    index: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A write: its key (None: the server names it) and what it makes of it (None: gone)."""

    request: Request
    key: str | None
    value: str | None
    brief: bool = False


class Writer:
    """One client; `known` is what was acknowledged, `open` what has no answer yet."""

    def __init__(self, number: int, seed: str) -> None:
        self._chance = random.Random(seed)
        self._home = f"/w{number}"
        self._number = number
        self._count = 0
        self.known: dict[str, Leaf | None] = {}
        self.brief: set[str] = set()
        self.indexes: list[int] = []
        self.open: Attempt | None = None

    def run(self, server: Server) -> None:
        """Write until the server goes away."""
        try:
            with server.connect() as connection:
                while True:
                    self._write(connection, self._next())
        except (OSError, Closed, Late):
            return

    def _write(self, connection: Connection, attempt: Attempt) -> None:
        self.open = attempt
        answer = connection.ask(attempt.request, timeout_s=ANSWER_S)
        if answer.status >= 500:
            raise Closed(answer.body)
        self.open = None
        self._acknowledge(attempt, answer)

    def _acknowledge(self, attempt: Attempt, answer: Response) -> None:
        if answer.status not in (200, 201):
            # A brief key has expired; nothing else of ours may be refused.
            assert attempt.key in self.brief, (attempt, answer)
            return
        node = json.loads(answer.body)["node"]
        key, index = node["key"], node["modifiedIndex"]
        assert attempt.key in (None, key), (attempt, node)
        self.indexes.append(index)
        self.known[key] = None if attempt.value is None else Leaf(attempt.value, index)
        self.brief.discard(key)
        if attempt.brief:
            self.brief.add(key)

    def _next(self) -> Attempt:
        self._count += 1
        chance = self._chance
        value = f"{self._number}.{self._count}." + "v" * chance.choice(VALUE_BYTES)
        key = f"{self._home}/k{chance.randrange(KEYS_PER_WRITER)}"
        there = [name for name, leaf in self.known.items() if leaf and name not in self.brief]
        kind = chance.choices(("put", "ttl", "brief", "post", "cas", "delete"), (8, 3, 1, 2, 4, 3))
        match kind[0]:
            case "ttl":
                return _put(key, value, f"&ttl={LONG_TTL_S}")
            case "brief":
                return _put(f"{self._home}/brief{self._count % 5}", value, f"&ttl={SHORT_TTL_S}")
            case "post":
                request = Request.form("POST", "/v2/keys/queue", f"value={value}")
                return Attempt(request, None, value)
            case "cas" if there:
                key = chance.choice(there)
                leaf = self.known[key]
                assert leaf is not None
                return _put(key, value, f"&prevIndex={leaf.index}")
            case "delete" if there:
                key = chance.choice(there)
                return Attempt(Request("DELETE", _target(key)), key, None)
        return _put(key, value)

    def reckon(self, found: dict[str, Leaf], report: Report) -> None:
        """Compare what is known with what is there, and take over what the open attempt did."""
        attempt, self.open = self.open, None
        if attempt is not None:
            report.unknown += 1
            if attempt.key is None:
                key = next((k for k, leaf in found.items() if leaf.value == attempt.value), None)
            else:
                key = attempt.key
            if key is not None and self._is_done(attempt, key, found):
                self.known[key] = found.get(key)
                if attempt.brief:
                    self.brief.add(key)
        for key, leaf in self.known.items():
            there = found.get(key)
            if there == leaf or (there is None and key in self.brief):
                continue
            report.lose(f"{key}: acknowledged {leaf}, found {there}; open was {attempt}")
        self.known = {key: found.get(key) for key in self.known}
        extra = {k for k in found if k.startswith(self._home + "/")} - self.known.keys()
        for key in extra:
            report.lose(f"{key}: nobody wrote it, or it was deleted")

    def _is_done(self, attempt: Attempt, key: str, found: dict[str, Leaf]) -> bool:
        there, before = found.get(key), self.known.get(key)
        if there is None or attempt.value is None:
            return there is None and (attempt.value is None or attempt.brief)
        return there.value == attempt.value and (before is None or there.index > before.index)


def _put(key: str, value: str, more: str = "") -> Attempt:
    request = Request.form("PUT", _target(key), f"value={value}{more}")
    return Attempt(request, key, value, brief=more == f"&ttl={SHORT_TTL_S}")


def _target(key: str) -> bytes:
    return f"/v2/keys{quote(key)}".encode()


class Campaign:
    """A server, its writers, and what they know."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._writers = [Writer(number, f"{seed}/{number}") for number in range(WRITERS)]
        self._reckoned = 0
        self.report = Report()

    def run(self, rounds: int) -> Report:
        """Run so many rounds on one data directory."""
        with Pyetcd(args=("--snapshot-count", str(SNAPSHOT_COUNT))) as server:
            for _ in range(rounds):
                self._round(server)
                if self.report.lost:
                    break
        return self.report

    def _round(self, server: Server) -> None:
        threads = [threading.Thread(target=one.run, args=(server,)) for one in self._writers]
        for thread in threads:
            thread.start()
        ends = time.monotonic() + self._chance.uniform(ROUND_MIN_S, ROUND_MAX_S)
        while (left := ends - time.monotonic()) > 0 and threads[0].is_alive():
            threads[0].join(left)
        server.kill()
        for thread in threads:
            thread.join()
        server.start()
        report = self.report
        report.rounds += 1
        report.restart_max_s = max(report.restart_max_s, server.ready_after_s)
        self._reckon(server)
        self._look_at_files(server)

    def _reckon(self, server: Server) -> None:
        report = self.report
        with server.connect() as connection:
            answer = connection.ask(Request("GET", b"/v2/keys/?recursive=true"), timeout_s=ANSWER_S)
        assert answer.status == 200, answer
        found = dict(_leaves(json.loads(answer.body)["node"]))
        indexes = [index for one in self._writers for index in one.indexes]
        report.acknowledged = len(indexes)
        if len(set(indexes)) != len(indexes):
            report.lose("an index was acknowledged twice")
        now = int(answer.header("X-Etcd-Index") or "")
        if now < max(indexes, default=0):
            report.lose(f"X-Etcd-Index is {now}, but {max(indexes)} was acknowledged")
        for one in self._writers:
            one.reckon(found, report)

    def _look_at_files(self, server: Server) -> None:
        member = server.data_dir / "member"
        snapshots = sorted((member / "snap").glob("*.snapshot"))
        if snapshots:
            self.report.snapshots = int(snapshots[-1].stem.split("-")[1], 16)
        self.report.rolls = int(max((member / "wal").glob("*.log")).stem, 16)


def _leaves(node: dict[str, object]) -> list[tuple[str, Leaf]]:
    children = node.get("nodes", [])
    assert isinstance(children, list)
    if node.get("dir"):
        return [leaf for child in children for leaf in _leaves(child)]
    index = node["modifiedIndex"]
    assert isinstance(index, int)
    return [(str(node["key"]), Leaf(str(node["value"]), index))]
