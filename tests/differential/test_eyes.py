"""The comparison itself: it calls equals equal, and it sees each of the planted faults."""

import pytest

from tests.conformance.examples import load
from tests.differential.deviations import answers_differ, explain, explain_stream
from tests.differential.faults import FAULTS, Fault
from tests.differential.generator import Generator
from tests.differential.run import Plan, run
from tests.differential.shrink import shrink
from tests.differential.steps import Settle, Tree, show
from tests.oracle import RealEtcd, Request, Response
from tests.oracle.normalise import sort_listings, text_of

REQUESTS = 400
GET = Request("GET", b"/v2/keys/a?recursive=true")
SORTED = Request("GET", b"/v2/keys/a?sorted=true")


def _answer(body: bytes, *headers: tuple[str, str]) -> Response:
    return Response(200, "OK", (*headers, ("Content-Length", str(len(body)))), body)


def test_etcd_equals_etcd() -> None:
    """Goal: no false alarms. Method: the same random requests to two real etcds."""
    report = run(Plan(requests=REQUESTS, seed="same", make_tested=RealEtcd))
    assert [str(one) for one in report.differences] == []
    assert report.events > 0


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_caught(name: str) -> None:
    """Goal: the comparison has eyes. Method: two real etcds, one answer of the second is
    spoilt once; exactly that is reported."""
    planted: list[Fault] = []

    def make_fault() -> Fault:
        planted.append(FAULTS[name]())
        return planted[-1]

    plan = Plan(
        requests=REQUESTS,
        seed="fault",
        make_tested=RealEtcd,
        make_fault=make_fault,
        shrinks=False,
    )
    report = run(plan)
    assert planted[0].planted == 1
    assert len(report.differences) == 1, [str(one) for one in report.differences]


@pytest.mark.parametrize(
    ("expected", "got", "request_"),
    [
        (
            b'{"expiration":"2026-11-22T19:25:24.007Z"}',
            b'{"expiration":"2026-11-22T19:25:24Z"}',
            GET,
        ),
        (b'{"ttl":100}', b'{"ttl":99}', GET),
        (b'{"nodes":[{"key":"/a"},{"key":"/b"}]}', b'{"nodes":[{"key":"/b"},{"key":"/a"}]}', GET),
    ],
)
def test_masked(expected: bytes, got: bytes, request_: Request) -> None:
    """Goal: what may move is not reported. Method: pairs that differ only in such things."""
    assert answers_differ(request_, _answer(expected), _answer(got)) == []


@pytest.mark.parametrize(
    ("expected", "got", "request_"),
    [
        (b'{"expiration":"2026-11-22T19:25:24.0Z"}', b'{"expiration":"2026-11-22T19:25:24Z"}', GET),
        (b'{"ttl":100}', b'{"ttl":98}', GET),
        (b'{"ttl":100}', b"{}", GET),
        (
            b'{"nodes":[{"key":"/a"},{"key":"/b"}]}',
            b'{"nodes":[{"key":"/b"},{"key":"/a"}]}',
            SORTED,
        ),
        (b'{"value":"[2,1]"}', b'{"value":"[1,2]"}', GET),
        (b'{"value":"\\"ttl\\":5"}', b'{"value":"\\"ttl\\":6"}', GET),
        (b"{}\n", b"{}", GET),
    ],
)
def test_not_masked(expected: bytes, got: bytes, request_: Request) -> None:
    """Goal: the mask is no wider than it says. Method: pairs just outside of it."""
    assert answers_differ(request_, _answer(expected), _answer(got)) != []


def test_headers_are_compared() -> None:
    """Goal: header names, values and presence count. Method: pairs that differ in one."""
    base = _answer(b"{}", ("Date", "x"), ("X-Etcd-Index", "3"), ("X-Raft-Index", "4"))
    assert answers_differ(GET, base, _answer(b"{}", ("Date", "y"), *base.headers[1:3])) == []
    for headers in [base.headers[1:3], base.headers[:2], (*base.headers[:3], ("Server", "x"))]:
        assert answers_differ(GET, base, _answer(b"{}", *headers)) != []
    chunked = Response(200, "OK", (*base.headers[:3], ("Transfer-Encoding", "chunked")), b"{}")
    assert answers_differ(GET, base, chunked) != []


def test_listings_are_sorted_at_every_level() -> None:
    """Goal: only arrays move. Method: nested arrays, and text that looks like one."""
    body = b'{"nodes":[{"k":"b","nodes":[{"k":"2"},{"k":"1"}]},{"k":"a,[}\\"]"}]}'
    wanted = b'{"nodes":[{"k":"a,[}\\"]"},{"k":"b","nodes":[{"k":"1"},{"k":"2"}]}]}'
    assert sort_listings(body) == wanted
    assert text_of(body, unsorted=True).equals(text_of(wanted))


def test_rules_are_narrow() -> None:
    """Goal: a rule explains its own deviation only. Method: cases just inside and outside."""
    stats = Request("GET", b"/v2/stats/store")
    body = next(one for one in load() if one.name == "stats-store").expected.body
    one = _answer(body)
    fewer = body.replace(b'"getsFail":5', b'"getsFail":1')
    assert explain(stats, one, _answer(fewer))
    assert explain(stats, one, _answer(body.replace(b'"getsFail":5', b'"getsFail":6'))) is None
    assert explain(stats, one, _answer(body.replace(b'"watchers":0', b'"watchers":1'))) is None
    assert explain(stats, one, _answer(body.replace(b'"deleteFail":0', b'"deleteFail":1'))) is None
    assert explain(GET, one, _answer(fewer)) is None
    gone, new = b'{"action":"delete","node":{}}\n', b'{"action":"set","node":{}}\n'
    assert explain_stream([new, gone, gone], [new, gone], from_past=False)
    assert explain_stream([new, new], [new], from_past=False) is None
    assert explain_stream([new], [new, gone], from_past=False) is None
    assert explain_stream([new], [new, gone], from_past=True)
    assert explain_stream([new], [gone, new], from_past=True) is None


def test_same_seed_same_steps() -> None:
    """Goal: a seed names a run. Method: two generators without answers agree for long."""
    first, second = Generator("x"), Generator("x")
    assert [first.step() for _ in range(500)] == [second.step() for _ in range(500)]


def test_shrink_finds_the_two_steps() -> None:
    """Goal: a difference comes with a short script. Method: a made-up failure that needs two
    particular steps of a hundred."""
    first, last = Generator("a").step(), Settle()
    steps = [first, *[Tree()] * 98, last]
    assert shrink(steps, lambda some: first in some and last in some) == [first, last]
    assert show(last) == "settle"
