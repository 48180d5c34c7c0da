"""What members say to each other.

Laws:

* A message is one of these types or it is not a message: decoding checks types and shape, and
  nothing received is ever unpickled or evaluated.
* Who sent it is not in the message; the transport knows, because it checked.
* The encoding is msgpack arrays with a tag. Tags and the order of fields are a protocol: existing
  ones never change, new fields go to the end with a default.

Terms, indexes, votes: Raft's own (Ongaro, "Consensus", 2014, sections 3, 4, 6.4 and 9.6).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from raft.batch import Peer  # noqa: TC001 - msgspec reads the annotation

# What one Append carries, unless a single entry is larger.
APPEND_BYTES_MAX: Final = 1 << 20
# What one SnapshotPart carries at the most.
PART_BYTES_MAX: Final = 256 << 10


class Append(msgspec.Struct, tag="append", array_like=True, frozen=True, gc=False):
    """The leader's entries (data, index, term) that follow the entry `prev_index`, `prev_term`.

    `prev_check`: the CRC-32C of that entry's data, 0 where it is not known.
    """

    term: int
    prev_index: int
    prev_term: int
    commit: int
    entries: list[tuple[bytes, int, int]]
    prev_check: int = 0


class Appended(msgspec.Struct, tag="appended", array_like=True, frozen=True, gc=False):
    """The answer to an Append or an installed snapshot.

    `ok`: the sender's log equals the leader's up to `index` and is on disk. Otherwise the entry
    `prev` is missing or another one, and `index` is where the logs might still agree.
    """

    term: int
    index: int
    ok: bool
    prev: int = 0


class Commit(msgspec.Struct, tag="commit", array_like=True, frozen=True, gc=False):
    """The leader's commit index, for what the receiver is known to have."""

    term: int
    commit: int


class Beat(msgspec.Struct, tag="beat", array_like=True, frozen=True, gc=False):
    """I lead this term; answer at once, and name the round (a read index round, 0 for none).

    `match`: up to where the receiver has acknowledged the log in this term.
    """

    term: int
    round: int
    match: int = 0


class Beaten(msgspec.Struct, tag="beaten", array_like=True, frozen=True, gc=False):
    """The answer to a Beat: no higher term than this is known here.

    `full`: the sender has been sent entries that its disk has no room for.
    """

    term: int
    round: int
    full: bool = False


class AskVote(msgspec.Struct, tag="ask-vote", array_like=True, frozen=True, gc=False):
    """Please vote for me in this term. `pre`: would you? `transfer`: the leader asked me to.

    `without_you`: the cluster began without the receiver, as far as the sender knows.
    """

    term: int
    last_index: int
    last_term: int
    pre: bool
    transfer: bool
    without_you: bool = False


class Vote(msgspec.Struct, tag="vote", array_like=True, frozen=True, gc=False):
    """The answer: granted for `term`, or refused by someone who is at `term`.

    `untried`: by a founder with nothing, who might have forgotten something. `has_data`: who
    refuses has more than what a founder begins with.
    """

    term: int
    granted: bool
    pre: bool
    untried: bool = False
    has_data: bool = False


class TimeoutNow(msgspec.Struct, tag="timeout-now", array_like=True, frozen=True, gc=False):
    """The leader of this term asks the receiver to take over."""

    term: int


class Change(msgspec.Struct, array_like=True, frozen=True):
    """A change of the members: `peer` comes, goes, or has other URLs."""

    kind: str
    peer: Peer


class Proposal(msgspec.Struct, array_like=True, frozen=True):
    """A command on its way to the leader; `number` is its proposer's, never used twice."""

    number: int
    command: bytes
    change: Change | None = None


class Forward(msgspec.Struct, tag="forward", array_like=True, frozen=True):
    """Proposals for the leader of exactly this term.

    `origin` is the proposer's incarnation; it will send none below the number `lowest` any more.
    """

    term: int
    origin: int
    lowest: int
    proposals: list[Proposal]


class Refused(msgspec.Struct, tag="refused", array_like=True, frozen=True):
    """The leader did not append these proposals and will not; the cause is for their clients.

    `change`: it is the change of members that makes no sense, not the leader that cannot.
    """

    origin: int
    numbers: list[int]
    cause: str
    change: bool = False


class AskIndex(msgspec.Struct, tag="ask-index", array_like=True, frozen=True, gc=False):
    """Which index must I have applied for my reads to be linearizable?"""

    number: int


class TellIndex(msgspec.Struct, tag="tell-index", array_like=True, frozen=True, gc=False):
    """The answer to AskIndex, from a leader whose leadership was confirmed since."""

    number: int
    index: int


class SnapshotBegin(msgspec.Struct, tag="snapshot-begin", array_like=True, frozen=True):
    """A snapshot follows in parts; `transfer` tells it from others, the rest is its meta."""

    term: int
    transfer: int
    index: int
    index_term: int
    config: bytes
    commands: int


class SnapshotPart(msgspec.Struct, tag="snapshot-part", array_like=True, frozen=True):
    """Part `number` (from 0) of a snapshot; `ends_chunk` closes one of the state machine's chunks.

    The part with `last` has no data: `crc` is over all data before it.
    """

    term: int
    transfer: int
    number: int
    data: bytes
    ends_chunk: bool
    last: bool = False
    crc: int = 0


GIVEN_UP: Final = -1
UNABLE: Final = -2


class SnapshotTaken(msgspec.Struct, tag="snapshot-taken", array_like=True, frozen=True):
    """The receiver has written parts up to and including `number`; GIVEN_UP: it wants this transfer
    no more; UNABLE: nor is able to take another one just now.
    """

    term: int
    transfer: int
    number: int


Message: TypeAlias = (
    Append
    | Appended
    | Commit
    | Beat
    | Beaten
    | AskVote
    | Vote
    | TimeoutNow
    | Forward
    | Refused
    | AskIndex
    | TellIndex
    | SnapshotBegin
    | SnapshotPart
    | SnapshotTaken
)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)


class BadMessage(ValueError):
    """Bytes that are not a message."""


def encode(message: Message) -> bytes:
    """Return the bytes that travel."""
    return _encoder.encode(message)


def decode(data: bytes | memoryview) -> Message:
    """Return the message; raises BadMessage."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(str(error)) from error
