"""JSON bodies, well made or not, sent to pyetcd and to a real etcd: the same answers."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle import Pyetcd, Request, fetch
from tests.oracle.process import RealEtcd, Server, find_etcd

JSON = (("Content-Type", "application/json"),)
MEMBERS, LOG = b"/v2/members/1", b"/config/local/log"
"""Where a body is sent to: nobody has that id, so that a good body changes nothing."""

BROKEN = r"""
nope|n|nul|nulL|null|null x|true|tru|trux|false|fals1|{|{"|{"a|{"a"|{"a":|{"a":1|{"a":1,|{"a":1,}
{,}|{a:1}|{'a':1}|[|[1|[1,|[1,]|"|"abc|"\x"|"\u12"|"\ud800"|-|-a|01|1.|1.x|1e|1ex|1e+|123|0|0x|1 2
{"a":tru}|{"a":nul}|[1.5e-3 ,2]|1.e|1E+5]|"\u12G4"|"a\|[[{}]}|{"a" 1}|{"a":1 "b":2}|{"a":1]|NaN
-Infinity|[Infinity]|{}{}|{} ,|"\/\b\f"|1e999|[-0.0|-01|+1|.5|"\ud83d\ude00|{"":0
"""
FIELD = r"""
["http://1.1.1.1:1",]|["http://1.1.1.1:1"|["http://1.1.1.1:1"}|["http://1.1.1.1:1"]}|{"a":1}|true|1.5
"x"|null|["http://1.1.1.1:1",null]|[null]|[["a"]]|[{"a":1}]|[1]|[true,1]|[""]|["http://"]|[]
["http://h:1/"]|["http://h:1?q"]|["http://h:1#f"]|["http://u@h:1"]|["http://h:1 "]|[" http://h:1"]
["http://h%41:1"]|["http://h:0"]|["http://h:"]|["http://h:a"]|["//h:1"]|["h:1"]|["http:h:1"]
["https://h:1","http://h:2"]|["http://h:-1"]|["http://%zz:1"]|["http://h:1/%zz"]|["http://[::1]:1x"]
["1http://h:1"]|["http://\u0001:1"]|["http://h\\:1"]|["HTTP://h:a"]|["http://\ud800:1"]
["http://\ud83d\ude00:1"]|["http://\ude00\ud83d:1"]
"""
BODIES = [
    *(body.encode() for line in BROKEN.split() for body in line.split("|")),
    b"", b" ", b"\n{}\t", b"null x", b"1 2", b"{} ,", b'"\x01"', b'"\x7f\n"', b"\xe9", b"\x80",
    b"\xc3\xa9", b"'", b"\x07", b"\\", b"\xef\xbb\xbf{}", b"\xa0", b"\xad", b"\x00",
    *('{}'.encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32")),
    *(b'{"peerURLs":%b}' % value.encode() for value in FIELD.replace("\n", "|").split("|")),
    b'{"peerURLs":["http://h:1"]', b'{"peerurls":["h:a"]}', b'{"PEERURLS":["h:a"]}',
    '{"peerURL\u017f":["h:a"]}'.encode(), b'{"peerURLS ":["h:a"]}',
    b'{"peerURLs":["http://h\xff:1"]}', b'{"peerURLs":["h\xff\xe2\x82:a"]}',
    b'\xef\xbb\xbf{"peerURLs":["http://h:1"]}',
    '{"peerURLs":["http://h:1"]}'.encode("utf-16"),
    b'{"peerURLs":["a:a","b:b"],"peerURLs":[null]}', b'{"peerURLs":["a:a"],"peerURLs":null}',
    b'{"peerURLs":["a:a","b:b"],"peerURLs":["http://h:1"],"PeerURLs":[null,null]}',
    b'{"peerURLs":["a:a"],"peerURLs":[],"peerURLs":[null]}',
    b'{"peerURLs":1,"peerURLs":"a"}', b'{"peerURLs":[1],"peerURLs":{}}',
    b'[' * 10_001, b'{"a":' * 10_000 + b'[',
]  # fmt: skip
LEVELS = [
    b'{"level":"debug"}', b'{"Level":"INFO"} x', b'{"Level":"INFO"}}', b'{"Level":null}', b"null",
    b"nullx", b"{}", b"[]", b'"INFO"', b'{"Level":"\xff"}', b'{"Level":"\\ud800"}', b'{"Level":1}',
    b'{"Level":"INFO","level":5}', b'{"Level":"INFO","level":null}', b'{"Level":"INFO"', b"",
    b'{"LEVEL":"<&>"}', b'\xef\xbb\xbf{"Level":"INFO"}', b'{"Level":"IN',
]  # fmt: skip

SEEDS = [body for body in (*BODIES, *LEVELS) if 0 < len(body) < 100]
PIECES = [bytes((byte,)) for byte in b'{}[]:,"\\ \n\x01\x7f\x80\xc3\xa9eE+-.0159tfnulrsaxdS/']
PIECES += [b"\\u", b"\\ud83d", b"\\ude00", b"null", b"1e5", b'"peerURLs":', b'"level":', b"[]"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A text in which one to four places were changed: cut, doubled, or something put in."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        middle = draw(st.sampled_from([b"", text[start:end] * 2, *PIECES]))
        text = text[:start] + middle + text[end:]
    return text


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Server, Server]]:
    """A real etcd and ours."""
    with RealEtcd() as real, Pyetcd() as ours:
        yield real, ours


def ask(server: Server, target: bytes, body: bytes) -> tuple[int, bytes]:
    """The status and the body of the answer."""
    answer = fetch(server.client_port, Request("PUT", target, JSON, body))
    return answer.status, answer.body


def test_bodies_by_hand(both: tuple[Server, Server]) -> None:
    """Goal: Go's words for each kind of complaint, and what Go takes. Method: tables."""
    real, ours = both
    if not find_etcd()[1].startswith("3.4."):
        pytest.skip("the answers are those of 3.4")
    for target, bodies in ((MEMBERS, BODIES), (LOG, [*LEVELS, *BODIES])):
        for body in bodies:
            assert ask(ours, target, body) == ask(real, target, body), (target, body)


@settings(
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(body=mutated())
def test_mutated_bodies(both: tuple[Server, Server], body: bytes) -> None:
    """Goal: the same, for what nobody thought of. Method: good and bad texts, mutated."""
    real, ours = both
    for target in (MEMBERS, LOG):
        assert ask(ours, target, body) == ask(real, target, body), (target, body)
