"""Where requests end: the chunk scanner and the length rules, against other readers."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.framing import CHUNKED, BadFraming, Chunks, body_length, head_end

PIECES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


def chunked(pieces: list[bytes], extension: bytes, trailer: bytes) -> bytes:
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    return body + b"0\r\n" + trailer + b"\r\n"


@given(
    PIECES,
    st.sampled_from([b"", b";x=y", b" ;x"]),
    st.sampled_from([b"", b"A: b\r\n"]),
    st.binary(max_size=30),
    st.lists(st.integers(1, 7), min_size=1),
)
def test_a_chunked_body_ends_where_it_ends(
    pieces: list[bytes], extension: bytes, trailer: bytes, rest: bytes, steps: list[int]
) -> None:
    """Goal: the end is found whatever the pieces the bytes arrive in. Method: feed random steps and
    count what is taken; what follows the body must be left alone."""
    body = chunked(pieces, extension, trailer)
    scanner, taken, position = Chunks(), 0, 0
    data = body + rest
    step = 0
    while not scanner.finished:
        piece = data[position : position + steps[step % len(steps)]]
        assert piece
        used = scanner.feed(piece)
        taken += used
        position += len(piece)
        step += 1
    assert taken == len(body)


@given(PIECES)
def test_llhttp_agrees(pieces: list[bytes]) -> None:
    """Goal: aiohttp's reader and ours see the same end. Method: llhttp reads the same request."""

    class Seen:
        complete = False
        body = b""

        def on_body(self, data: bytes) -> None:
            self.body += data

        def on_message_complete(self) -> None:
            self.complete = True

    body = chunked(pieces, b"", b"")
    seen = Seen()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    scanner = Chunks()
    assert scanner.feed(body) == len(body)
    assert scanner.finished
    assert seen.complete
    assert seen.body == b"".join(pieces)


@pytest.mark.parametrize("line", [b"zz\r\n", b"-1\r\n", b"\r\n", b"1" * 17 + b"\r\n", b"0x1\r\n"])
def test_a_size_that_is_no_number_is_refused(line: bytes) -> None:
    """Goal: no guessing. Method: lines that some readers would take for a size."""
    with pytest.raises(BadFraming):
        Chunks().feed(line)


def test_endless_lines_are_refused() -> None:
    """Goal: bounded memory. Method: a size line and a trailer that never end."""
    with pytest.raises(BadFraming):
        Chunks().feed(b"1;" + b"x" * 5000)
    scanner = Chunks()
    scanner.feed(b"0\r\n")
    with pytest.raises(BadFraming):
        scanner.feed(b"a: b\r\n" * 20_000)


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        (b"", 0),
        (b"content-length: 12\r\n", 12),
        (b"content-length:12 \r\n", 12),
        (b"transfer-encoding: chunked\r\n", CHUNKED),
        (b"x-content-length: 3\r\n", 0),
        (b"x: content-length\r\n", 0),
    ],
)
def test_lengths(headers: bytes, length: int) -> None:
    """Goal: the plain cases. Method: a table."""
    assert body_length(b"put / http/1.1\r\nhost: a\r\n" + headers + b"\r\n") == length


@pytest.mark.parametrize(
    "headers",
    [
        b"content-length: 1\r\ncontent-length: 1\r\n",
        b"content-length: 1, 1\r\n",
        b"content-length: +1\r\n",
        b"content-length: -1\r\n",
        b"content-length:\r\n",
        b"content-length : 1\r\n",
        b"content-length\r\n",
        b"content-length:\r\n 1\r\n",
        b"content-length: 1\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: gzip, chunked\r\n",
        b"transfer-encoding: identity\r\n",
        b"transfer-encoding:\x0bchunked\r\n",
    ],
)
def test_ambiguous_lengths_are_refused(headers: bytes) -> None:
    """Goal: two readers can never disagree (request smuggling). Method: known disagreements."""
    with pytest.raises(BadFraming):
        body_length(b"put / http/1.1\r\nhost: a\r\n" + headers + b"\r\n")


def test_http_10_knows_no_chunks() -> None:
    """Goal: nobody guesses. Method: the one combination that readers disagree about most."""
    with pytest.raises(BadFraming):
        body_length(b"put / http/1.0\r\ntransfer-encoding: chunked\r\n\r\n")


@given(st.binary(max_size=40))
def test_a_head_ends_at_its_first_blank_line(data: bytes) -> None:
    """Goal: both line endings count. Method: against a search line by line."""
    end = head_end(data)
    position = data.find(b"\n") + 1
    expected = -1
    while position:
        if data[position : position + 1] == b"\n":
            expected = position + 1
            break
        if data[position : position + 2] == b"\r\n" and data[position - 2 : position] == b"\r\n":
            expected = position + 2
            break
        position = data.find(b"\n", position) + 1
    assert end == expected
