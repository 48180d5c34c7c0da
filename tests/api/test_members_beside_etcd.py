"""The same changes of members asked of three of ours and of three real etcds: the same answers."""

import json
from contextlib import ExitStack

from tests.oracle import Request, fetch
from tests.oracle.process import find_etcd
from tests.server.members import EtcdMember, Member, cluster, until

NEW, OTHER = "http://127.0.0.1:7", "http://127.0.0.1:9"
JSON = "application/json"
Step = tuple[str, str, str, str]
"""Method, path below /v2/members, body, Content-Type; {m1} is its id, {url1} its peer URL."""


def urls(*peer_urls: str) -> str:
    return json.dumps({"peerURLs": peer_urls})


BODIES = (
    ("", JSON),
    ("{", JSON),
    ("null", JSON),
    ("{}", JSON),
    (urls(), JSON),
    (urls("ftp://a:1"), JSON),
    (urls("http://127.0.0.1"), JSON),
    (urls("http://127.0.0.1:1/x"), JSON),
    (urls(OTHER), "text/plain"),
    (urls(OTHER), "Text/Plain; a=b"),
    (urls(OTHER), "Application/JSON"),
    (urls("{url2}"), "Application/JSON; a=b"),
    (urls(OTHER, "{url2}"), JSON),
    (urls("{url1}"), ""),
)
YOUNG: tuple[Step, ...] = (
    ("POST", "", urls(NEW), JSON),
    ("POST", "", urls("{url1}"), JSON),
    ("DELETE", "/{m1}", "", ""),
    ("DELETE", "/abc", "", ""),
    ("PUT", "/ABC", urls(NEW), JSON),
    ("PUT", "/{m1}", urls("{url1}", OTHER), JSON),
    ("PUT", "/{m1}", urls("{url1}"), JSON),
)
"""Asked while connections are younger than five seconds."""
GROWN: tuple[Step, ...] = (
    ("POST", "", urls(NEW), JSON),
    *(("POST", "", body, kind) for body, kind in BODIES),
    *(("PUT", "/{m1}", body, kind) for body, kind in BODIES),
    *(
        (method, path, urls(OTHER) if method == "PUT" else "", JSON)
        for method in ("GET", "HEAD", "PUT", "DELETE")
        for path in ("/xyz", "/", "", "/leader/", "/abc/d", "/123456789abcdef012")
    ),
    ("PUT", "/{new}", urls(NEW, OTHER), JSON),
    ("PUT", "/{new}", urls("{url3}"), JSON),
    ("GET", "", "", ""),
    ("DELETE", "/{new}", "", ""),
    ("DELETE", "/{new}", "", ""),
    ("PUT", "/{new}", urls(OTHER), JSON),
    ("GET", "", "", ""),
)
"""Asked once a fourth member was added, which has not started."""


class Side:
    """A cluster, and what its ids and ports are called here."""

    def __init__(self, members: list[Member]) -> None:
        self._members = members
        self._names = {f"url{n}": m.identity.peer_url for n, m in enumerate(members, 1)}
        for member in members[0].see("/v2/members")["members"]:
            self._names[member["name"]] = member["id"]

    @property
    def index(self) -> int:
        """The store's index where it is asked."""
        return self._members[0].index

    def ask(self, step: Step) -> tuple[object, ...]:
        """Ask the first member; the answer without what differs from cluster to cluster."""
        method, path, body, kind = step
        for name, value in self._names.items():
            path, body = (text.replace(f"{{{name}}}", value) for text in (path, body))
        headers = (("Content-Type", kind),) if kind else ()
        request = Request(method, f"/v2/members{path}".encode(), headers, body.encode())
        answer = fetch(self._members[0].client_port, request)
        text = answer.body.decode()
        if answer.status == 201:
            self._names["new"] = json.loads(text)["id"]
        for number, member in enumerate(self._members, 1):
            text = text.replace(str(member.client_port), f"<client {number}>")
        for name, value in self._names.items():
            text = text.replace(value, f"<{name}>")
        if answer.status == 200:
            text = str(sorted(json.loads(text)["members"], key=str))
        has_cluster = answer.header("X-Etcd-Cluster-Id") is not None
        return (answer.status, text, answer.header("Content-Type"), has_cluster)


def test_the_same_answers() -> None:
    """Goal: contract/cluster.md sections 2 and 3: statuses, bodies, order of checks, and how far
    the index moves. Method: one sequence of requests to both: each cluster as soon as it is there,
    then both with a fourth member that was added."""
    if not find_etcd()[1].startswith("3.4."):
        return  # the answers are those of 3.4
    with ExitStack() as stack:
        sides, young = [], []
        for kind in (EtcdMember, Member):
            side = Side(stack.enter_context(cluster(3, kind)))
            assert side.index == 7
            sides.append(side)
            young.append([side.ask(step) for step in YOUNG])
        for step, real, ours in zip(YOUNG, *young, strict=True):
            assert ours == real, step
        for side in sides:
            until(lambda side=side: side.ask(GROWN[0])[0] == 201, "connections are old enough")
        # Two updates and an addition so far; then an update and a removal, which counts two.
        assert [side.index for side in sides] == [10, 10]
        for step in GROWN[1:]:
            real, ours = (side.ask(step) for side in sides)
            assert ours == real, step
        assert [side.index for side in sides] == [13, 13]
