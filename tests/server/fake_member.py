"""A member as others see it on its peer port: answers that are given, late, wrong or none."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CLUSTER = 0xC57F099532FC184A


@dataclass
class FakeMember:
    """One listener on loopback."""

    port: int = 0
    answers: dict[str, bytes | None] = field(default_factory=dict)
    """Path to the whole answer; None: none at all, the connection stays open."""
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its peer URL."""
        return f"http://127.0.0.1:{self.port}"

    def say(self, path: str, document: object, *, status: int = 200, cluster: str = "") -> None:
        """Answer with JSON, or with a text as it is."""
        body = document if isinstance(document, str) else json.dumps(document)
        header = f"X-Etcd-Cluster-Id: {cluster}\r\n" if cluster else ""
        head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n{header}\r\n"
        self.answers[path] = (head + body).encode()

    def knows(self, *members: dict[str, object]) -> None:
        """Answer /members with these."""
        self.say("/members", list(members), cluster=f"{CLUSTER:x}")


def row(number: int, *urls: str, name: str = "", client_url: str = "") -> dict[str, object]:
    """A member in the answer to /members."""
    shown: dict[str, object] = {"id": number, "peerURLs": list(urls)}
    if name:
        shown["name"] = name
    if client_url:
        shown["clientURLs"] = [client_url]
    return shown


@asynccontextmanager
async def fake_member() -> AsyncIterator[FakeMember]:
    """Run one."""
    member = FakeMember()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        member.asked.append(path)
        answer = member.answers.get(path, b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
        if answer is not None:
            writer.write(answer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    member.port = server.sockets[0].getsockname()[1]
    try:
        yield member
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()
