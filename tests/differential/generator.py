"""Seeded random steps: every method, every parameter good and bad, watches, odd keys and values.

Laws: the same seed and the same answers give the same steps. The key space is small, so that
requests meet each other. Nothing generated here depends on the clock: TTLs are far longer than a
run, except inside an `Expire` step, which waits for the end of its own keys. TTLs so large that
they wrap are only used where they mean "permanent" (contract: set, create, POST).
"""

import json
import random
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from tests.differential.steps import Ask, Expire, Pipeline, Settle, Step, Tree, Watch
from tests.differential.suitable import (
    depends_on_release,
    is_plain,
    is_too_long,
    keeps_connection,
)
from tests.differential.vocabulary import (
    BAD_BOOLS,
    BAD_NUMBERS,
    BOOLS,
    CONTENT_TYPES,
    EXTRA_HEADERS,
    FLAGS,
    LONG_VALUE_BYTES,
    MEMBER_BODIES,
    NAMES,
    ODD_METHODS,
    ODD_NAMES,
    ODD_TARGETS,
    OTHER_ROUTES,
    PARAMETERS,
    PERMANENT_TTLS,
    TTLS,
    VALUES,
)
from tests.oracle import Request, Response
from tests.oracle.wire import FORM

if TYPE_CHECKING:
    from collections.abc import Callable

WATCHES_OPEN_MAX = 15
HISTORY = 1000
UINT64_MAX = 18446744073709551615
LONG_LINE_BYTES = 5000


class Generator:
    """Makes the next step from a seed and from what the answers have told."""

    def __init__(self, seed: str, *, portable: bool = False) -> None:
        self._random = random.Random(seed)
        self._portable = portable
        self._open_watches = 0
        self._expiries = 0
        self.index = 3
        self.modified: dict[bytes, int] = {}
        self.values: dict[bytes, bytes] = {}

    def learn(self, answer: Response) -> None:
        """Takes in the index and the node of an answer of the reference."""
        index = answer.header("X-Etcd-Index")
        if index and index != "0":
            self.index = int(index)
        if answer.status not in (200, 201) or not answer.body.startswith(b'{"action"'):
            return
        event = json.loads(answer.body)
        node = event.get("node", {})
        key = node.get("key", "").encode()
        if event["action"] in ("delete", "compareAndDelete"):
            self.modified.pop(key, None)
            self.values.pop(key, None)
        elif "modifiedIndex" in node:
            self.modified[key] = node["modifiedIndex"]
            self.values[key] = node.get("value", "").encode()

    def step(self) -> Step:
        """The next step."""
        while True:
            step = self._any_step()
            if is_too_long(step) or (self._portable and depends_on_release(step)):
                continue
            return step

    def _any_step(self) -> Step:
        if self._open_watches >= WATCHES_OPEN_MAX:
            return self.settle()
        choices: list[tuple[int, Callable[[], Step]]] = [
            (330, self._write),
            (180, self._read),
            (90, self._delete),
            (60, self._post),
            (110, self._watch),
            (90, self._noise),
            (30, self._odd_method),
            (30, self._other_route),
            (30, self._odd_path),
            (15, self._pipeline),
            (12, self._odd_http),
            (2, self._expire),
            (12, Tree),
        ]
        weights = [weight for weight, _ in choices]
        return self._random.choices([make for _, make in choices], weights)[0]()

    def settle(self) -> Settle:
        """Ends the open watches."""
        self._open_watches = 0
        return Settle()

    # -- pieces --------------------------------------------------------------------------------

    def _key(self) -> bytes:
        pick = self._random
        known = list(self.modified)
        if known and pick.random() < 0.45:
            key = pick.choice(known)
            return key + b"/" + pick.choice(NAMES) if pick.random() < 0.1 else key
        depth = pick.choice((0, 1, 1, 1, 2, 2, 2, 3, 4)) if pick.random() < 0.97 else 8
        names = [pick.choice(ODD_NAMES if pick.random() < 0.08 else NAMES) for _ in range(depth)]
        return b"".join(b"/" + name for name in names) or b"/"

    def _target(self, key: bytes, query: list[str] | None = None) -> bytes:
        path = quote_from_bytes(key, safe="/").encode()
        if self._random.random() < 0.04 and not path.endswith(b"/"):
            path += b"/"
        if self._random.random() < 0.03:
            path = key if is_plain(key) else path
        return b"/v2/keys" + path + (b"?" + "&".join(query).encode() if query else b"")

    def _value(self) -> bytes:
        pick = self._random
        if pick.random() < 0.03:
            return b"v" * (pick.choice(LONG_VALUE_BYTES) + pick.randrange(-8, 300))
        return pick.choice(VALUES)

    def _encoded(self, value: bytes) -> str:
        return quote_from_bytes(value, safe="").replace("%20", self._random.choice(("+", "%20")))

    def _send(self, method: str, key: bytes, *, query: list[str], body: list[str]) -> Ask:
        headers: list[tuple[str, str]] = []
        pick = self._random
        if body:
            kind = pick.choice(CONTENT_TYPES) if pick.random() < 0.05 else FORM
            headers += [("Content-Type", kind)] if kind else []
        if pick.random() < 0.06:
            headers.append(pick.choice(EXTRA_HEADERS))
        data = "&".join(body).encode()
        if body and pick.random() < 0.02:
            data += pick.choice((b";x", b"&%zz", b"&%4", b"&", b"\n", b"&=&", b"&value=second"))
        chunk = pick.choice((1, 5, 4096)) if body and pick.random() < 0.05 else 0
        if len(data) > LONG_LINE_BYTES and chunk:
            chunk = 4096
        request = Request(method, self._target(key, query), tuple(headers), data, chunk_bytes=chunk)
        if request.version == "HTTP/1.1" and pick.random() < 0.02:
            request = Request(method, request.target, request.headers, data, version="HTTP/1.0")
        return Ask(request, fresh=pick.random() < 0.03)

    def _placed(self, fields: list[str]) -> tuple[list[str], list[str]]:
        """Splits fields over query and body."""
        where = self._random.choice(("body", "body", "query", "both"))
        if where == "both":
            split: tuple[list[str], list[str]] = ([], [])
            for field in fields:
                split[self._random.randrange(2)].append(field)
            return split
        return (fields, []) if where == "query" else ([], fields)

    # -- kinds of steps ------------------------------------------------------------------------

    def _write(self) -> Step:
        pick = self._random
        key = self._key()
        fields = pick.choice(self._put_forms(key))
        if pick.random() < 0.08:
            fields = [*fields, f"noValueOnSuccess={pick.choice(BOOLS)}"]
        pick.shuffle(fields)
        query, body = self._placed(fields)
        return self._send("PUT", key, query=query, body=body)

    def _put_forms(self, key: bytes) -> list[list[str]]:
        """Every kind of PUT, with conditions that hold and that do not."""
        pick = self._random
        value = self._encoded(self._value())
        ttl = f"ttl={pick.choice(TTLS)}"
        held = self._encoded(self.values.get(key, b"1") or b"1")
        index = self.modified.get(key, self.index)
        wrong_index = pick.choice((0, 1, index + 1, self.index, 18446744073709551615))
        return [
            [f"value={value}"],
            [f"value={value}"],
            [f"value={value}"],
            [f"value={value}", ttl],
            [f"value={value}", f"ttl={pick.choice(PERMANENT_TTLS)}"],
            [f"value={value}", "ttl="],
            ["dir=true"],
            ["dir=true", ttl],
            [f"value={value}", "prevExist=false"],
            ["dir=true", "prevExist=false"],
            [f"value={value}", "prevExist=true"],
            ["value=", "prevExist=true"],
            [ttl, "prevExist=true", "dir=true"],
            [f"value={value}", f"prevValue={held}"],
            [f"value={value}", f"prevValue={self._encoded(self._value())}"],
            [f"value={value}", f"prevIndex={index}"],
            [f"value={value}", f"prevIndex={wrong_index}", ttl],
            [f"value={value}", f"prevIndex={index}", f"prevValue={held}", "prevExist=true"],
            [f"value={value}", f"prevIndex={wrong_index}", f"prevValue={value}"],
            ["refresh=true", ttl],
            ["refresh=true", ttl, "prevExist=true"],
            ["refresh=true", ttl, f"prevIndex={index}"],
            ["refresh=true", "ttl=600", f"value={value}"],
            ["refresh=true"],
            [],
        ]

    def _read(self) -> Step:
        pick = self._random
        query = []
        for name, share in (("recursive", 0.35), ("sorted", 0.3), ("quorum", 0.15)):
            if pick.random() < share:
                query.append(f"{name}={pick.choice(BOOLS)}")
        if pick.random() < 0.03:
            query.append(pick.choice(("dir=true", "noValueOnSuccess=true", "prevValue=x")))
        return self._send(
            "HEAD" if pick.random() < 0.15 else "GET", self._key(), query=query, body=[]
        )

    def _delete(self) -> Step:
        pick = self._random
        key = self._key()
        index = self.modified.get(key, self.index)
        held = self._encoded(self.values.get(key, b"1") or b"1")
        query = pick.choice((
            [], [], ["dir=true"], ["recursive=true"], ["dir=true", "recursive=false"],
            [f"prevIndex={index}"], [f"prevValue={held}"], [f"prevIndex={index + 1}"],
            [f"prevValue=zz{held}", f"prevIndex={index}"], ["recursive=true", f"prevIndex={index}"],
            ["prevExist=true"], ["noValueOnSuccess=true"],
        ))  # fmt: skip
        body = ["recursive=true"] if pick.random() < 0.03 else []
        return self._send("DELETE", key, query=query, body=body)

    def _post(self) -> Step:
        pick = self._random
        value = self._encoded(self._value())
        fields = pick.choice((
            [f"value={value}"], [f"value={value}"], [f"value={value}", f"ttl={pick.choice(TTLS)}"],
            ["dir=true"], [], [f"value={value}", "prevExist=true"], ["refresh=true", "ttl=600"],
            [f"value={value}", f"ttl={pick.choice(PERMANENT_TTLS)}"], ["noValueOnSuccess=true"],
        ))  # fmt: skip
        key = self._key() if pick.random() < 0.4 else pick.choice((b"/q", b"/_h", b"/", b"/a"))
        query, body = self._placed(list(fields))
        return self._send("POST", key, query=query, body=body)

    def _watch(self) -> Step:
        pick = self._random
        key = self._key()
        recursive = pick.random() < 0.5
        stream = pick.random() < 0.2
        query = ["wait=true"]
        query += ["recursive=true"] if recursive else []
        query += ["stream=true"] if stream else []
        if pick.random() < 0.75:
            query.append(f"waitIndex={self._wait_index()}")
        if pick.random() < 0.08:
            query.append(pick.choice(("sorted=true", "dir=true", "quorum=true", "stream=false")))
        pick.shuffle(query)
        self._open_watches += 1
        return Watch(Request("GET", self._target(key, query)), key, recursive, stream)

    def _wait_index(self) -> int | str:
        pick = self._random
        near = max(1, self.index - pick.randrange(0, 12))
        far = max(1, self.index - pick.randrange(0, 400))
        edge = max(1, self.index - HISTORY + pick.randrange(-1, 4))
        ahead = self.index + pick.randrange(1, 4)
        return pick.choice(
            (near, near, near, far, far, edge, ahead, 0, 1, "", "x", "007", UINT64_MAX)
        )

    def _noise(self) -> Step:
        """Any parameters with any values, good and bad, on any method."""
        pick = self._random
        fields = []
        for name in pick.sample(PARAMETERS, pick.choice((1, 1, 2, 2, 3, 5))):
            if name in FLAGS:
                value = pick.choice(BAD_BOOLS if pick.random() < 0.3 else BOOLS)
            elif name in ("prevIndex", "waitIndex"):
                good = str(pick.choice((0, 1, self.index)))
                value = pick.choice(BAD_NUMBERS) if pick.random() < 0.4 else good
            elif name == "ttl":
                value = pick.choice(BAD_NUMBERS if pick.random() < 0.5 else TTLS)
            else:
                value = self._encoded(pick.choice(VALUES))
            fields.append(f"{name}={value}" if pick.random() < 0.96 else name)
        method = pick.choice(("GET", "GET", "PUT", "PUT", "PUT", "POST", "DELETE", "HEAD"))
        if method == "GET" and any(field.startswith("wait") for field in fields):
            self._open_watches += 1
            key = self._key()
            return Watch(Request("GET", self._target(key, fields)), key, False, False)
        if pick.random() < 0.06:
            fields.append(pick.choice(("%zz", "a;b", "%4", "=", "", "%", "x=%GG", "value=2")))
        query, body = self._placed(fields) if method in ("PUT", "POST") else (fields, [])
        return self._send(method, self._key(), query=query, body=body)

    def _odd_method(self) -> Step:
        method = self._random.choice((*ODD_METHODS, "OPTIONS", "OPTIONS"))
        return self._send(method, self._key(), query=[], body=[])

    def _other_route(self) -> Step:
        pick = self._random
        if pick.random() < 0.2:
            kind = pick.choice(("application/json", "application/json", "text/plain", None))
            headers = (("Content-Type", kind),) if kind else ()
            return Ask(
                Request("POST", b"/v2/members", headers, pick.choice(MEMBER_BODIES).encode())
            )
        method, _, path = pick.choice(OTHER_ROUTES).partition(" ")
        return Ask(Request(method, path.encode()))

    def _odd_path(self) -> Step:
        pick = self._random
        target = pick.choice(ODD_TARGETS)
        method = pick.choice(("GET", "GET", "PUT", "DELETE", "POST", "HEAD", "OPTIONS"))
        body = b"value=1" if method in ("PUT", "POST") else b""
        return Ask(Request.form(method, target, body))

    def _pipeline(self) -> Step:
        requests: list[Request] = []
        while len(requests) < 3:
            step = self._random.choice((self._write, self._read, self._delete))()
            if isinstance(step, Ask) and keeps_connection(step.request):
                requests.append(step.request)
        return Pipeline(tuple(requests))

    def _odd_http(self) -> Step:
        pick = self._random
        target = self._target(self._key())
        long_target = b"/v2/keys/" + b"l" * LONG_LINE_BYTES
        return pick.choice((
            Ask(Request("GET", target, host=False), fresh=True),
            Ask(Request("GET", target, host=False, version="HTTP/1.0"), fresh=True),
            Ask(Request("GET", target, (("Connection", "keep-alive"),), version="HTTP/1.0")),
            Ask(Request("GET", long_target), fresh=True),
            Ask(Request("PUT", target, (("Content-Type", FORM),), b"value=1", chunk_bytes=2)),
            Ask(Request.form("PUT", target, b"value=1;x")),
            Ask(Request("GET", target, (("X-Long", "y" * 20_000),))),
        ))  # fmt: skip

    def _expire(self) -> Step:
        """Files and directories with a TTL of 1 s; ttl=0 is last, it ends at any moment."""
        self._expiries += 1
        base = b"/ttl%d" % self._expiries
        keys = [base + b"/f", base + b"/g", base + b"/d", base + b"/u", base + b"/z"]
        sends = [
            ("PUT", keys[0], "value=1&ttl=1"),
            ("PUT", keys[1], "value=2&ttl=1"),
            ("PUT", keys[2], "dir=true&ttl=1"),
            ("PUT", keys[2] + b"/child/leaf", "value=3"),
            ("PUT", keys[2] + b"/_hidden", "value=4&ttl=600"),
            ("PUT", keys[3], "value=5"),
            ("PUT", keys[3], "refresh=true&ttl=1&prevExist=true"),
            ("PUT", keys[4], "value=6&ttl=0"),
        ]
        requests = [Request.form(m, b"/v2/keys" + key, body) for m, key, body in sends]
        return Expire(tuple(requests), tuple(keys), base)
