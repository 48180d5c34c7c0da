"""/v2/members: statuses, bodies, headers, and what is checked before what."""

import pytest

from api.exchange import Response
from api.members import Members
from kvstore import register
from raft import ChangeRefused, ProposalFailed
from tests.api.fake_node import (
    CLUSTER_HEADER,
    MINTED,
    ONE,
    THREE,
    TWO,
    cluster,
    node_of,
    peer_url,
    read,
    request,
    whole,
)

NEW = "http://10.0.0.9:2380"
INTERNAL = b'{"message":"Internal Server Error"}'
NO_QUORUM = ProposalFailed("etcdserver: request timed out")


async def ask(
    members: Members,
    method: str,
    path: str,
    body: object = None,
    content_type: str | None = "application/json",
) -> Response:
    """Ask, and see that the answer says which cluster it is of."""
    answer = whole(await members.handle(request(method, path, body, content_type=content_type)))
    if answer.status != 405:
        assert CLUSTER_HEADER in answer.headers
    return answer


async def test_the_list_and_the_leader() -> None:
    """Goal: members sorted by id, in etcd's order of fields; the leader's record, or 503 when there
    is none or it is not known here yet. Method: a cluster with one member that has not started."""
    backend = cluster(THREE, ONE, TWO, started=[THREE, ONE])
    members = Members(backend)
    for path in ("/v2/members", "/v2/members/"):
        answer = await ask(members, "GET", path)
        assert answer.status == 200
        assert answer.body == (
            b'{"members":[{"id":"25d6ce33763c5524","name":"m36","peerURLs":["http://10.0.0.36:2380"]'
            b',"clientURLs":["http://10.0.0.36:2379"]},{"id":"6ae27f9fa2984b1d","name":"",'
            b'"peerURLs":["http://10.0.0.29:2380"],"clientURLs":[]},{"id":"ff32f4b39b9c47bd",'
            b'"name":"m189","peerURLs":["http://10.0.0.189:2380"],"clientURLs":'
            b'["http://10.0.0.189:2379"]}]}\n'
        )
    assert read(await ask(members, "GET", "/v2/members/leader"))["id"] == f"{THREE:x}"
    node = node_of(backend)
    for leader in (0, 0xABC):
        node.status = node.status.__class__(2, 0, leader, False, "StateFollower", 7, 7)
        answer = await ask(members, "GET", "/v2/members/leader")
        assert (answer.status, answer.body) == (503, b'{"message":"During election"}')


@pytest.mark.parametrize("rest", ["leader/", f"{ONE:x}", "x/y", "%zz"])
async def test_nothing_else_can_be_got(rest: str) -> None:
    """Goal: 404 for everything but the two. Method: an id, deeper paths, a trailing slash."""
    answer = await ask(Members(cluster(ONE)), "GET", f"/v2/members/{rest}")
    assert (answer.status, answer.body) == (404, b'{"message":"Not found"}')


async def test_other_methods_and_changes_of_nobody() -> None:
    """Goal: Allow in etcd's order; without an id 405 and no Allow. Method: HEAD, PUT, DELETE."""
    members = Members(cluster(ONE))
    head = await ask(members, "HEAD", "/v2/members")
    assert head.status == 405
    assert b"Allow: GET,POST,DELETE,PUT\r\n" in head.headers
    for method in ("PUT", "DELETE"):
        for path in ("/v2/members", "/v2/members/"):
            answer = await ask(members, method, path)
            assert (answer.status, answer.body) == (405, b"Method Not Allowed\n")
            assert b"Allow" not in answer.headers


async def test_add() -> None:
    """Goal: 201 with an empty name and sorted URLs; the register has it, index +1. Method: two URLs
    out of order, unknown fields beside them."""
    backend = cluster(ONE, TWO, THREE)
    index = backend.machine.store.index
    body = {"name": "ignored", "peerURLs": ["http://z:1", "http://a:1"], "x": 1}
    answer = await ask(Members(backend), "POST", "/v2/members", body)
    assert answer.status == 201
    assert answer.body == (
        b'{"id":"6e6a5c09a90b7f8c","name":"","peerURLs":["http://a:1","http://z:1"],'
        b'"clientURLs":[]}\n'
    )
    assert backend.machine.store.index == index + 1
    added = next(m for m in register(backend.machine.store.tree) if m.id == MINTED)
    assert (added.name, added.peer_urls) == ("", ("http://a:1", "http://z:1"))


@pytest.mark.parametrize(
    ("content_type", "shown"),
    [
        ("text/plain", "text/plain"),
        ("Application/JSON", "Application/JSON"),
        ("Text/Plain ; a=b", "text/plain"),
        (None, ""),
    ],
)
async def test_the_type_of_a_body(content_type: str | None, shown: str) -> None:
    """Goal: 415 with the type as etcd compares it: only one with parameters is put into lower case.
    Method: POST and PUT, with a body that would be wrong, too."""
    members = Members(cluster(ONE, TWO, THREE))
    for method, path in (("POST", "/v2/members"), ("PUT", f"/v2/members/{ONE:x}")):
        answer = await ask(members, method, path, "{", content_type)
        assert answer.status == 415
        words = f"Bad Content-Type {shown}, accept application/json"
        assert answer.body == b'{"message":"%b"}' % words.encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "unexpected end of JSON input"),
        ("{", "unexpected end of JSON input"),
        ("{}", "no valid URLs given"),
        ('{"peerURLs":[]}', "no valid URLs given"),
        (
            '{"peerURLs":["ftp://a:1"]}',
            "URL scheme must be http, https, unix, or unixs: ftp://a:1",
        ),
        (
            '{"peerURLs":["http://127.0.0.1"]}',
            'URL address does not have the form \\"host:port\\": http://127.0.0.1',
        ),
        ('{"peerURLs":["http://a:1/x"]}', "URL must not contain a path: http://a:1/x"),
    ],
)
async def test_a_body_that_is_none(body: str, words: str) -> None:
    """Goal: 400 with etcd's words, before anything is proposed and before the strict check. Method:
    each on a cluster that could not grow."""
    backend = cluster(ONE, TWO, THREE, started=[ONE])
    for method, path in (("POST", "/v2/members"), ("PUT", f"/v2/members/{ONE:x}")):
        answer = await ask(Members(backend), method, path, body)
        assert answer.status == 400
        assert answer.body == b'{"message":"%b"}' % words.encode()
    assert node_of(backend).proposed == []


async def test_a_body_as_go_takes_it() -> None:
    """Goal: nobody is added by a body that etcd refuses, and what it takes is taken. Method: a byte
    order mark, UTF-16, deep nesting; bytes that are not UTF-8 beside the field, its name in another
    case, given twice, a null for a URL there was."""
    backend = cluster(ONE, TWO, THREE)
    body = '{"peerURLs":["http://a:1"]}'
    deep = '{"x":' + "[" * 5000 + "]" * 5000 + "," + body[1:]
    for raw in (b"\xef\xbb\xbf" + body.encode(), body.encode("utf-16"), deep.encode()):
        answer = await ask(Members(backend), "POST", "/v2/members", raw)
        assert answer.status == 400
    assert answer.body == b'{"message":"exceeded max depth"}'
    assert node_of(backend).proposed == []
    taken = b'{"\xff":"\xff","PeerURLS":["http://a:1","http://b:1"],"peerurl\xc5\xbf":[null]}'
    answer = await ask(Members(backend), "POST", "/v2/members", taken)
    assert (answer.status, read(answer)["peerURLs"]) == (201, ["http://a:1"])


async def test_what_an_added_member_must_not_share() -> None:
    """Goal: 409 for a peer URL or an id there is; 500 for an id that was removed. Method: each."""
    backend = cluster(ONE, TWO, THREE)
    members = Members(backend)
    answer = await ask(members, "POST", "/v2/members", {"peerURLs": [NEW, peer_url(TWO)]})
    assert (answer.status, answer.body) == (409, b'{"message":"membership: peerURL exists"}')
    assert (await ask(members, "POST", "/v2/members", {"peerURLs": [NEW]})).status == 201
    node_of(backend).reachable_s[MINTED] = 60.0
    answer = await ask(members, "POST", "/v2/members", {"peerURLs": ["http://10.0.0.10:2380"]})
    assert (answer.status, answer.body) == (409, b'{"message":"membership: ID exists"}')
    assert (await ask(members, "DELETE", f"/v2/members/{MINTED:x}")).status == 204
    answer = await ask(members, "POST", "/v2/members", {"peerURLs": [NEW]})
    assert (answer.status, answer.body) == (500, INTERNAL)


async def test_update() -> None:
    """Goal: 204 and index +1; an id may be in upper case with zeros before it; a URL of its own is
    no conflict, one of another is. Method: each."""
    backend = cluster(ONE, TWO, THREE)
    members = Members(backend)
    index = backend.machine.store.index
    answer = await ask(members, "PUT", f"/v2/members/0{ONE:X}", {"peerURLs": [NEW, peer_url(ONE)]})
    assert (answer.status, answer.body) == (204, b"")
    assert backend.machine.store.index == index + 1
    assert register(backend.machine.store.tree)[0].peer_urls == (peer_url(ONE), NEW)
    answer = await ask(members, "PUT", f"/v2/members/{TWO:x}", {"peerURLs": [NEW]})
    assert (answer.status, answer.body) == (409, b'{"message":"membership: peerURL exists"}')
    answer = await ask(members, "PUT", "/v2/members/00ABC", {"peerURLs": ["http://x:1"]})
    assert (answer.status, answer.body) == (404, b'{"message":"No such member: abc"}')
    assert backend.machine.store.index == index + 1


async def test_remove() -> None:
    """Goal: 204 and index +2; then 410, and an update of it 500. Method: each in turn."""
    backend = cluster(ONE, TWO, THREE)
    members = Members(backend)
    index = backend.machine.store.index
    answer = await ask(members, "DELETE", f"/v2/members/{TWO:X}")
    assert (answer.status, answer.body) == (204, b"")
    assert backend.machine.store.index == index + 2
    answer = await ask(members, "DELETE", f"/v2/members/{TWO:x}")
    assert answer.status == 410
    assert answer.body == b'{"message":"Member permanently removed: 6ae27f9fa2984b1d"}'
    answer = await ask(members, "PUT", f"/v2/members/{TWO:x}", {"peerURLs": [NEW]})
    assert (answer.status, answer.body) == (500, INTERNAL)
    answer = await ask(members, "DELETE", "/v2/members/abc")
    assert (answer.status, answer.body) == (404, b'{"message":"No such member: abc"}')
    assert backend.machine.store.index == index + 2


@pytest.mark.parametrize("rest", ["xyz", "0x1", "-1", "1" * 17, "a/b", "leader"])
async def test_what_is_no_id_is_shown_as_it_came(rest: str) -> None:
    """Goal: 404 that echoes the path, before the body is looked at. Method: no numbers, and one
    that is too large."""
    members = Members(cluster(ONE, TWO, THREE))
    for method in ("PUT", "DELETE"):
        answer = await ask(members, method, f"/v2/members/{rest}", "{", "text/plain")
        words = b'{"message":"No such member: %b"}' % rest.encode()
        assert (answer.status, answer.body) == (404, words)


async def test_the_strict_check_comes_first() -> None:
    """Goal: with too few started members, or links that are young, an addition and a removal are
    500 whatever else is wrong with them, and nothing is proposed; an update is not checked. Method:
    a duplicate URL, an unknown id, a removed one."""
    backend = cluster(ONE, TWO, THREE)
    members, node = Members(backend), node_of(backend)
    node.reachable_s = {TWO: 4.0, THREE: 4.0}
    answer = await ask(members, "POST", "/v2/members", {"peerURLs": [peer_url(TWO)]})
    assert (answer.status, answer.body) == (500, INTERNAL)
    answer = await ask(members, "DELETE", f"/v2/members/{TWO:x}")
    assert (answer.status, answer.body) == (500, INTERNAL)
    assert node.proposed == []
    assert (await ask(members, "DELETE", "/v2/members/abc")).status == 404  # reachable it is not
    answer = await ask(members, "PUT", f"/v2/members/{TWO:x}", {"peerURLs": [NEW]})
    assert answer.status == 204
    few = Members(cluster(ONE, TWO, THREE, started=[ONE]))
    for path in ("/v2/members/abc", f"/v2/members/{TWO:x}"):
        assert (await ask(few, "DELETE", path)).status == 500


async def test_without_the_strict_check_all_is_proposed_but_the_last_member_stays() -> None:
    """Goal: --strict-reconfig-check=false lets everything through to agreement, which keeps the
    last member. Method: young links; then remove one after the other."""
    backend = cluster(ONE, TWO, strict=False)
    members, node = Members(backend), node_of(backend)
    node.reachable_s = {}
    assert (await ask(members, "POST", "/v2/members", {"peerURLs": [NEW]})).status == 201
    for member in (MINTED, TWO):
        assert (await ask(members, "DELETE", f"/v2/members/{member:x}")).status == 204
    answer = await ask(members, "DELETE", f"/v2/members/{ONE:x}")
    assert (answer.status, answer.body) == (500, INTERNAL)
    assert [m.id for m in register(backend.machine.store.tree)] == [ONE]


@pytest.mark.parametrize("failure", [NO_QUORUM, ChangeRefused("membership: something new")])
async def test_any_other_failure_is_a_500(failure: Exception) -> None:
    """Goal: no quorum, a stop, or a refusal nobody has heard of: one answer, without X-Etcd-Index.
    Method: a node that fails every change."""
    backend = cluster(ONE, TWO, THREE)
    members = Members(backend)
    node_of(backend).failure = failure
    for method, path, body in (
        ("POST", "/v2/members", {"peerURLs": [NEW]}),
        ("PUT", f"/v2/members/{ONE:x}", {"peerURLs": [NEW]}),
        ("DELETE", f"/v2/members/{TWO:x}", None),
    ):
        answer = await ask(members, method, path, body)
        assert (answer.status, answer.body) == (500, INTERNAL)
        assert b"X-Etcd-Index" not in answer.headers


async def test_machines_are_all_client_urls() -> None:
    """Goal: text, sorted, joined by comma and blank, no newline. Method: one without URLs."""
    members = Members(cluster(THREE, ONE, TWO, started=[THREE, ONE]))
    answer = whole(await members.machines(request("GET", "/v2/machines")))
    assert answer.body == b"http://10.0.0.189:2379, http://10.0.0.36:2379"
