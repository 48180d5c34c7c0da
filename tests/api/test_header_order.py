"""The heads of answers beside a real etcd's: the same header lines in the same order."""

from tests.oracle import Pyetcd, Request, fetch
from tests.oracle.process import RealEtcd

PATHS = (
    "/v2/members",
    "/v2/members/",
    "/v2/members/leader",
    "/v2/members/1",
    "/config/local/log",
    "/v2/keys",
    "/v2/keys/none",
    "/v2/keys/a?value=1",
    "/v2/stats/self",
    "/version",
    "/nothing",
)
CLOSE = (("Connection", "close"),)


def test_the_order_of_header_lines() -> None:
    """Goal: what is sniffed byte by byte is found where it was. Method: each method on each path,
    on a connection that stays and on one that is closed."""
    with RealEtcd() as real, Pyetcd() as ours:
        for path in PATHS:
            for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"):
                for headers in ((), CLOSE):
                    request = Request(method, path.encode(), headers)
                    answers = (fetch(server.client_port, request) for server in (ours, real))
                    got, expected = ([name for name, _ in answer.headers] for answer in answers)
                    assert got == expected, request
