"""One request on its way round the endpoints, without I/O: who is asked next, and what it comes to.

Laws:

* An endpoint that fails is passed over, and the first that answers is begun with from then on.
* A request that must not happen twice goes on only while nobody can have heard it. If somebody
  can, it ends with OutcomeUnknown: another endpoint would say of what is done already that it
  cannot be done.
* etcdctl's own one-shot requests end at the first endpoint that fails, heard or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyetcdctl.errors import (
    ClientError,
    ClusterUnavailable,
    EndpointFailed,
    NoEndpoints,
    NoLeader,
    OutcomeUnknown,
    ServerFailed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyetcdctl.endpoints import Endpoint, Ring
    from pyetcdctl.requests import Request
    from pyetcdctl.transport import Answer


class Round:
    """The endpoints for one request, in turn: say of each how it `failed` or what it `answered`."""

    def __init__(self, ring: Ring, request: Request) -> None:
        self._ring = ring
        self._request = request
        self._errors: list[ClientError] = []

    def __iter__(self) -> Iterator[Endpoint]:
        return self._ring.walk()

    def failed(self, error: EndpointFailed) -> None:
        """Note it. Raises what ends the round."""
        if self._request.one_shot:
            raise error
        if self._request.once and error.may_be_heard:
            raise OutcomeUnknown(error) from error
        self._errors.append(error)

    def answered(self, endpoint: Endpoint, answer: Answer) -> bool:
        """Whether that settles it. Raises what ends the round."""
        if answer.status // 100 == 5:
            self.failed(_server_failure(endpoint.text, answer))
            return False
        self._ring.pin(endpoint)
        return True

    def end(self) -> ClientError:
        """What it came to when nothing settled it."""
        return ClusterUnavailable(self._errors) if self._errors else NoEndpoints()


def _server_failure(endpoint: str, answer: Answer) -> EndpointFailed:
    """What an HTTP 5xx is taken for."""
    if answer.status in (500, 503):
        return NoLeader(endpoint)
    from http import HTTPStatus

    known = {status.value: status.phrase for status in HTTPStatus}
    return ServerFailed(endpoint, known.get(answer.status, ""))
