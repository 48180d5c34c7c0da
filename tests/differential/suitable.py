"""Which random steps may be sent, and how: what would say nothing is left out."""

from tests.differential.steps import Ask, Pipeline, Step, Watch
from tests.oracle import Request

WRITE_LINE_BYTES_MAX = 2500


def requests_of(step: Step) -> tuple[Request, ...]:
    """The requests a step was made of."""
    match step:
        case Ask(request) | Watch(request):
            return (request,)
        case Pipeline(requests):
            return requests
        case _:
            return ()


def is_too_long(step: Step) -> bool:
    """Whether a write has a line that etcd refuses on a new connection, and pyetcd carries out:
    after that documented deviation the two would not have the same keys any more."""
    return any(
        len(request.target) > WRITE_LINE_BYTES_MAX and request.method != "GET"
        for request in requests_of(step)
    )


def depends_on_release(step: Step) -> bool:
    """Whether etcd 3.5 answers otherwise than 3.4: it fails to update a directory without a
    value, takes `;` for a separator, knows no /config; its version and health differ."""
    return any(
        b"prevExist" in request.target + request.body
        or b";" in request.target + request.body
        or request.target.startswith(
            (b"http:", b"/config", b"/version", b"/x/../version", b"/health")
        )
        for request in requests_of(step)
    )


def is_plain(key: bytes) -> bool:
    """Whether the key can stand in a request line as it is."""
    return all(byte > 0x20 and byte != 0x7F and byte not in b"%?#" for byte in key)


def keeps_connection(request: Request) -> bool:
    """Whether another request can follow on the same connection."""
    names = {name for name, _ in request.headers}
    return request.version == "HTTP/1.1" and not names & {"Connection", "Expect", "Upgrade"}
