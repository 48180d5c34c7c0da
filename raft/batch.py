"""What one entry of the log holds: the commands of one turn of the event loop, stamped.

Laws:

* All commands of a batch share one log entry, one fsync, one stamp.
* The first byte tells our entries from PySyncObj's own (its no-op is 0x01); the next four are the
  number of commands, so that the log can count them without decoding.
* An entry that carries `peers` is a configuration and has a first byte of its own, so that the log
  notices it as it passes: the newest one in the log, or in the snapshot, says who the members are.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

NO_OP: Final = b"\x01"
KIND: Final = 0x64
CONFIGURATION_KIND: Final = 0x65

# A batch is closed at whichever comes first; a larger command goes alone.
COMMANDS_MAX: Final = 1024
BYTES_MAX: Final = 1 << 20

_PREFIX: Final = struct.Struct("<BI")


class Peer(msgspec.Struct, array_like=True, frozen=True):
    """A member as agreement needs to know it."""

    id: int
    urls: tuple[str, ...]


class Batch(msgspec.Struct, array_like=True, frozen=True):
    """Commands with the ids of their proposals, the leader's stamp and its wall clock (both ns).

    An id is (origin, number): `origin` is drawn anew at each start of a member, so that no id is
    ever used twice.
    """

    stamp_ns: int
    wall_ns: int
    ids: list[tuple[int, int]]
    commands: list[bytes]
    peers: tuple[Peer, ...] | None = None


class Standing(msgspec.Struct, array_like=True, frozen=True):
    """What a snapshot keeps for the log: the members, and the last stamp applied."""

    peers: tuple[Peer, ...]
    stamp_ns: int


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Batch)
_standing_decoder: Final = msgspec.msgpack.Decoder(Standing)


def encode(batch: Batch) -> bytes:
    """Return the bytes of a log entry."""
    kind = KIND if batch.peers is None else CONFIGURATION_KIND
    return _PREFIX.pack(kind, len(batch.commands)) + _encoder.encode(batch)


def decode(data: bytes) -> Batch | None:
    """Return the batch in a log entry, None for an entry of the engine's own."""
    if data[0] not in (KIND, CONFIGURATION_KIND):
        return None
    return _decoder.decode(memoryview(data)[_PREFIX.size :])


def count(data: bytes) -> int:
    """Return how many commands a log entry holds."""
    if data[0] not in (KIND, CONFIGURATION_KIND):
        return 0
    commands: int = _PREFIX.unpack_from(data)[1]
    return commands


def encode_standing(standing: Standing) -> bytes:
    """Return the bytes a snapshot keeps."""
    return _encoder.encode(standing)


def decode_standing(data: bytes) -> Standing:
    """Return what a snapshot kept."""
    return _standing_decoder.decode(data)
