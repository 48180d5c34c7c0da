"""Everything the client raises.

    ClientError
    |-- EtcdError                  the server says no; .code is one of etcd's
    |   |-- KeyNotFound (100), CompareFailed (101), NotAFile (102), NotADirectory (104),
    |   |   NodeExists (105), RootReadOnly (107), DirectoryNotEmpty (108), Unauthorized (110),
    |   |   EventIndexCleared (401), ... : see BY_CODE
    |-- Refused                    the server says no to a request about members, users or roles
    |-- BadAnswer                  what came back is no answer of an etcd
    |   |-- EmptyAnswer            it was nothing at all
    |-- IndexBehind                the member has not come to the index that is known already
    |-- BadEndpoint, BadTLS, BadText, BadCredentials   the client was told nonsense
    |-- ClientClosed               the client was closed, before or meanwhile
    |-- WrongLoop                  an AsyncClient was used in a second event loop or process
    |-- NoEndpoints                the members publish no client URLs
    |-- DeadlineExceeded           the total time-out ran out
    |-- ClusterUnavailable         every endpoint failed; .errors says how each one did
    |-- EndpointFailed             one endpoint did, in a request that is tried at one only
        |-- OutcomeUnknown         so did one that may have done what must not be done twice
        |-- DialFailed, ReadFailed, ConnectionEnded, HeaderTimeout,
            NoLeader, ServerFailed, BadRedirect, TLSFailed

Laws: the text of each is what etcdctl 3.4 prints of it (contract/etcdctl.md, section 8). Pickle and
copy give back the same, whatever its class is made from.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


def in_words(error: OSError) -> str:
    """A system error as Go says it."""
    return os.strerror(error.errno).lower() if error.errno else str(error).lower()


class ClientError(Exception):
    """What all of them are."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by __init__, which wants the parts that the text was made from.
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[ClientError], args: tuple[object, ...]) -> ClientError:
    return kind.__new__(kind, *args)


class EtcdError(ClientError):
    """An error of the key space: `code` and `index` numbers, `message` and `cause` texts."""

    code: int

    def __init__(self, code: int, message: str, cause: str, index: int) -> None:
        super().__init__(code, message, cause, index)
        self.code, self.message, self.cause, self.index = code, message, cause, index

    def __str__(self) -> str:
        return f"{self.code}: {self.message} ({self.cause}) [{self.index}]"

    @staticmethod
    def of(code: int, message: str, cause: str, index: int) -> EtcdError:
        """The error of a code, as the class that stands for it."""
        return BY_CODE.get(code, EtcdError)(code, message, cause, index)


class KeyNotFound(EtcdError):
    """100."""


class CompareFailed(EtcdError):
    """101: the key's value or index is not the one that was asked for."""


class NotAFile(EtcdError):
    """102: it is a directory."""


class NotADirectory(EtcdError):
    """104: something on the way is a key with a value."""


class NodeExists(EtcdError):
    """105."""


class RootReadOnly(EtcdError):
    """107."""


class DirectoryNotEmpty(EtcdError):
    """108."""


class Unauthorized(EtcdError):
    """110: the request requires user authentication."""


class RaftFailed(EtcdError):
    """300: nothing could be agreed on in time; whether it still happens is in the cause."""


class EventIndexCleared(EtcdError):
    """401: the events asked for are older than what the server keeps."""


BY_CODE: Final[dict[int, type[EtcdError]]] = {
    100: KeyNotFound,
    101: CompareFailed,
    102: NotAFile,
    104: NotADirectory,
    105: NodeExists,
    107: RootReadOnly,
    108: DirectoryNotEmpty,
    110: Unauthorized,
    300: RaftFailed,
    401: EventIndexCleared,
}


class Refused(ClientError):
    """The server refused a request about members, users or roles; `status` is HTTP's."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class BadAnswer(ClientError):
    """Not an answer of an etcd."""

    INVALID: ClassVar[str] = (
        "client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint"
    )
    TOO_DEEP: ClassVar[str] = "client: the answer is nested too deeply"
    STALE: ClassVar[str] = "client: the answer is an event of before the index asked for"


class EmptyAnswer(BadAnswer):
    """Nothing at all, as a member ends a long poll that is open when it stops."""

    def __init__(self) -> None:
        super().__init__("client: response body is empty")


class IndexBehind(ClientError):
    """The member has not come to the index that is known already: it lags behind the others, or the
    cluster has begun anew, or from a backup.
    """

    def __init__(self, index: int, known: int) -> None:
        super().__init__(f"client: the member is at index {index}, but {known} was known already")


class BadText(ClientError):
    """A key or a value that is no text."""


class BadEndpoint(ClientError):
    """An endpoint that is no URL."""


class BadCredentials(ClientError):
    """A user name or a password that cannot be sent."""


class BadTLS(ClientError):
    """Certificates or keys that cannot be used."""


class ClientClosed(ClientError):
    """The client was closed: before it was asked, or while somebody waited for the answer."""

    def __init__(self) -> None:
        super().__init__("client: it is closed")


class WrongLoop(ClientError):
    """An AsyncClient has connections in one event loop, and was used in another one, or in a child
    of the process.
    """

    def __init__(self) -> None:
        super().__init__(
            "client: it was used in another event loop or process before: "
            "make an AsyncClient in each"
        )


class NoEndpoints(ClientError):
    """The members publish no client URLs."""

    def __init__(self) -> None:
        super().__init__("client: no endpoints available")


class DeadlineExceeded(ClientError):
    """The total time-out ran out, or a proxy did not say in a minute whether it leads on."""

    def __init__(self) -> None:
        super().__init__("context deadline exceeded")


class EndpointFailed(ClientError):
    """One endpoint gave no usable answer; `may_be_heard`: whether it can have got the request."""

    may_be_heard: bool = True


class OutcomeUnknown(EndpointFailed):
    """What must not be done twice may have been done: the request went out, and no answer came
    back. `error` is why.
    """

    def __init__(self, error: EndpointFailed) -> None:
        super().__init__(f"{error}: whether it has been done is not known")
        self.error = error


class DialFailed(EndpointFailed):
    """There was no connection."""


class ReadFailed(EndpointFailed):
    """The connection broke."""


class ConnectionEnded(EndpointFailed):
    """It ended the connection without an answer, or in the middle of one."""


class HeaderTimeout(EndpointFailed):
    """It was silent for too long."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"client: endpoint {endpoint} exceeded header timeout")


class NoLeader(EndpointFailed):
    """HTTP 500 or 503."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"client: etcd member {endpoint} has no leader")


class ServerFailed(EndpointFailed):
    """Another HTTP 5xx."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"client: etcd member {endpoint} returns server error [{reason}]")


class BadRedirect(EndpointFailed):
    """A redirection to nowhere, or without end."""


class TLSFailed(EndpointFailed):
    """The two sides did not come to trust each other."""


class ClusterUnavailable(ClientError):
    """Every endpoint failed."""

    def __init__(self, errors: Sequence[ClientError]) -> None:
        super().__init__(*errors)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        each = "".join(f"; error #{n}: {error}\n" for n, error in enumerate(self.errors))
        return f"client: etcd cluster is unavailable or misconfigured{each}"

    @property
    def detail(self) -> str:
        """A line for each endpoint."""
        return "".join(f"error #{n}: {error}\n" for n, error in enumerate(self.errors))

    @property
    def is_connection(self) -> bool:
        """Whether there was no talking to any of them."""
        return all(isinstance(error, DialFailed | ReadFailed) for error in self.errors)


PASSING: Final = (ClusterUnavailable, EndpointFailed, DeadlineExceeded, BadAnswer, RaftFailed)
"""What is asked again by whoever waits for a long time: it is with the way or the cluster, and not
with the question."""
