"""A transport that only writes down what it is told."""

import asyncio

from raft.peers.frames import FrameReader


class Wire(asyncio.Transport):
    """A transport whose other end takes `room` bytes and no more."""

    def __init__(self, room: int = 1 << 40) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.room = room
        self.ends: list[str] = []

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Nobody reads here."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        """What the other end has not taken."""
        return max(0, sum(map(len, self.writes)) - self.room)

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def write_eof(self) -> None:
        """Note it."""
        self.ends.append("eof")

    def abort(self) -> None:
        """Note it."""
        self.ends.append("abort")

    def payloads(self) -> list[bytes]:
        """What was written, as the other end reads it; pings left out."""
        return [bytes(part) for part in FrameReader().feed(b"".join(self.writes)) if part]
