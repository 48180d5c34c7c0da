"""An HTTP/1 answer, read from a connection as Go's net/http reads one.

Laws: what breaks the rules is told at once, in Go's words, and never waited for or guessed. An
answer is whole when its length or its last chunk says so. Every line, head and number has a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from golang.quoting import go_quote
from pyetcdctl.errors import ConnectionEnded, EndpointFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE_BYTES: Final = 1 << 20
_HEAD_BYTES_MAX: Final = 10 << 20
_CHUNK_LINE_BYTES_MAX: Final = 4096
_CHUNK_DIGITS_MAX: Final = 16
_LENGTH_MAX: Final = (1 << 63) - 1
_LENGTH_DIGITS_MAX: Final = 19
_INTERIM_MAX: Final = 5
_SWITCHING: Final = 101
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
BROKEN: Final = "net/http: HTTP/1.x transport connection broken: "


def broken(what: object) -> EndpointFailed:
    """What it is called when an answer is not HTTP."""
    return EndpointFailed(f"{BROKEN}{what}")


class Reader:
    """What has come on a connection and was not used yet; `receive` gives more, b"" at the end."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._buffer = bytearray()

    @property
    def has_more(self) -> bool:
        """Whether something has come that nobody asked for."""
        return bool(self._buffer)

    def line(self, bytes_max: int, too_long: str) -> bytes:
        """The next line, without its end; what there is of one if the connection ends in it."""
        seen = 0
        while not (end := self._buffer.find(b"\n", seen) + 1) and len(self._buffer) <= bytes_max:
            seen = len(self._buffer)
            if not self._fill():
                end = seen
                break
        if (end or len(self._buffer)) > bytes_max:
            raise EndpointFailed(too_long)
        line = bytes(self._buffer[:end])
        del self._buffer[:end]
        return line

    def some(self, bytes_max: int) -> bytes:
        """What there is, b"" at the end of the connection."""
        if not self._buffer:
            self._fill()
        piece = bytes(self._buffer[:bytes_max])
        del self._buffer[:bytes_max]
        return piece

    def _fill(self) -> bool:
        came = self._receive()
        self._buffer += came
        return bool(came)


class Head(NamedTuple):
    """The status and the headers of an answer; their names are in small letters."""

    version: tuple[int, int]
    status: int
    headers: dict[str, list[str]]
    # What is said behind the status, None if not even a space is.
    reason: str | None = None

    def get(self, name: str) -> str | None:
        """The first header of a name."""
        found = self.headers.get(name)
        return found[0] if found else None

    @property
    def is_encoded(self) -> bool:
        """Whether it says that its body comes in an encoding."""
        return "transfer-encoding" in self.headers and self.version >= (1, 1)

    @property
    def is_chunked(self) -> bool:
        """Whether its body comes in chunks."""
        return self.is_encoded and not self._has_none

    @property
    def _has_none(self) -> bool:
        """Whether it has no body, whatever it says."""
        return self.status in (204, 304, _SWITCHING)

    @property
    def is_last(self) -> bool:
        """Whether the connection ends with this answer."""
        said = ",".join(self.headers.get("connection", ())).lower()
        words = {word.strip() for word in said.split(",")}
        if "close" in words or (self.version < (1, 1) and "keep-alive" not in words):
            return True
        return self.length is None and not self.is_chunked

    @property
    def length(self) -> int | None:
        """How many bytes its body has; None if it does not say. Raises EndpointFailed."""
        if self._has_none:
            return 0
        lengths = {text.strip() for text in self.headers.get("content-length", ())}
        if self.is_chunked or not lengths:
            return None
        if len(lengths) > 1:
            shown = " ".join(f'"{text}"' for text in self.headers["content-length"])
            raise broken(
                f"http: message cannot contain multiple Content-Length headers; got [{shown}]"
            )
        text = lengths.pop()
        is_number = text.isascii() and text.isdecimal() and len(text) <= _LENGTH_DIGITS_MAX
        if not is_number or int(text) > _LENGTH_MAX:
            raise broken(f'bad Content-Length "{text}"')
        return int(text)


def read_head(reader: Reader) -> Head | None:
    """The next answer's head, None if the connection ended before one began. Raises EndpointFailed
    and what receiving raises.
    """
    for _interim in range(_INTERIM_MAX + 1):
        head = read_head_alone(reader)
        if head is None or head.status // 100 != 1 or head.status == _SWITCHING:
            return head
    raise broken("net/http: too many 1xx informational responses")


def read_body(reader: Reader, head: Head) -> Iterator[bytes]:
    """Its body in pieces, to its end. Raises EndpointFailed and what receiving raises."""
    if not head.is_chunked:
        yield from _counted(reader, head.length)
        return
    while size := _chunk_size(reader):
        yield from _counted(reader, size)
        if _chunk_line(reader):
            raise EndpointFailed("malformed chunked encoding")
    while _chunk_line(reader):
        pass  # a trailer, which says nothing to us


def read_head_alone(reader: Reader) -> Head | None:
    """The same, also one that announces another."""
    left = _HEAD_BYTES_MAX
    too_long = f"net/http: server response headers exceeded {_HEAD_BYTES_MAX} bytes; aborted"
    line = reader.line(left, too_long)
    if not line:
        return None
    version, status, reason = _status(line.rstrip(b"\r\n"))
    headers: dict[str, list[str]] = {}
    values: list[str] = []
    while True:
        left -= len(line)
        line = reader.line(left, too_long)
        text = line.rstrip(b"\r\n")
        if not text and line:
            break
        if not text:
            raise ConnectionEnded("unexpected EOF")
        if text[:1] in (b" ", b"\t"):
            if not values:
                raise broken(f"malformed MIME header initial line: {_quoted(text)}")
            values[-1] += " " + _text(text)
            continue
        name, colon, value = text.partition(b":")
        if not colon:
            raise broken(f"malformed MIME header: missing colon: {_quoted(text)}")
        values = headers.setdefault(_text(name).lower(), [])
        values.append(_text(value))
    head = Head(version, status, headers, reason)
    encodings = headers.get("transfer-encoding", [])
    if head.is_encoded and [each.lower() for each in encodings] != ["chunked"]:
        raise broken(f'unsupported transfer encoding: "{", ".join(encodings)}"')
    _ = head.length
    return head


def _status(line: bytes) -> tuple[tuple[int, int], int, str | None]:
    version, space, rest = line.partition(b" ")
    if not space:
        raise broken(f"malformed HTTP response {_quoted(line)}")
    number, space, reason = rest.lstrip(b" ").partition(b" ")
    if len(number) != 3 or not number.isdigit():
        raise broken(f"malformed HTTP status code {_quoted(number)}")
    major, dot, minor = version.removeprefix(b"HTTP/").partition(b".")
    is_digits = len(major) == len(minor) == 1 and major.isdigit() and minor.isdigit()
    if not (version.startswith(b"HTTP/") and dot and is_digits):
        raise broken(f"malformed HTTP version {_quoted(version)}")
    told = reason.decode("utf-8", "surrogateescape") if space else None
    return (int(major), int(minor)), int(number), told


def _counted(reader: Reader, length: int | None) -> Iterator[bytes]:
    """So many bytes, or (None) all until the connection ends."""
    while length is None or length > 0:
        piece = reader.some(_PIECE_BYTES if length is None else min(length, _PIECE_BYTES))
        if not piece and length is None:
            return
        if not piece:
            raise ConnectionEnded("unexpected EOF")
        length = None if length is None else length - len(piece)
        yield piece


def _chunk_line(reader: Reader) -> bytes:
    line = reader.line(_CHUNK_LINE_BYTES_MAX, "header line too long")
    if not line.endswith(b"\n"):
        raise ConnectionEnded("unexpected EOF")
    return line.rstrip(b"\r\n")


def _chunk_size(reader: Reader) -> int:
    digits = _chunk_line(reader).partition(b";")[0].strip()
    if not digits or not _HEX.issuperset(digits):
        raise EndpointFailed("invalid byte in chunk length")
    if len(digits) > _CHUNK_DIGITS_MAX:
        raise EndpointFailed("http chunk length too large")
    return int(digits, 16)


def _text(data: bytes) -> str:
    return data.strip(b" \t").decode("utf-8", "surrogateescape")


def _quoted(data: bytes) -> str:
    return go_quote(data.decode("utf-8", "surrogateescape"))
