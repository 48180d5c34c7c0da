"""What a script can be played on: a server over HTTP. (The store alone: `store_stage`.)"""

import time
from dataclasses import dataclass
from typing import Protocol

from tests.golden.script import Command
from tests.oracle import Closed, Connection, Late, Request, Response, Server

EVENT_S = 10.0
EXPIRED_S = 15.0
END = "end"


class Stage(Protocol):
    """Where the commands of one script are carried out, from a fresh start."""

    def play(self, command: Command) -> str:
        """Carries out a command and gives its result as a script shows it."""
        ...

    def close(self) -> None:
        """Ends everything that is still open."""
        ...


def shown(status: int, index: int | str, body: bytes) -> str:
    """An answer as a script shows it."""
    first = f"{status} X-Etcd-Index: {index}"
    return "\n".join([first, body.decode().rstrip("\n")]).rstrip("\n")


@dataclass(slots=True)
class _Poll:
    connection: Connection
    chunked: bool


class HttpStage:
    """A server, asked over HTTP."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = server.connect()
        self._polls: dict[str, _Poll] = {}

    def close(self) -> None:
        """Hangs up."""
        self._connection.close()
        for poll in self._polls.values():
            poll.connection.close()

    def play(self, command: Command) -> str:
        """Sends the request, or listens to a poll."""
        match command.verb:
            case "watch":
                return self._watch(command)
            case "event":
                return self._event(self._polls[command.name])
            case "expired":
                return self._expired(command)
        request = Request.form(command.verb, f"/v2/keys{command.target}", command.body)
        for _ in range(command.times):
            answer = self._connection.ask(request)
        return _result(answer)

    def _watch(self, command: Command) -> str:
        connection = self._server.connect()
        joint = "&" if "?" in command.target else "?"
        target = f"/v2/keys{command.target}{joint}wait=true"
        connection.start(Request("GET", target.encode()))
        head = connection.head()
        if not head.chunked:
            until = time.monotonic() + EVENT_S
            head = connection.finish(head, "GET", until=until)
        self._polls[command.name] = _Poll(connection, head.chunked)
        return _result(head)

    def _event(self, poll: _Poll) -> str:
        try:
            chunk = poll.connection.chunk(until=time.monotonic() + EVENT_S)
        except (Late, Closed) as error:
            return f"({type(error).__name__})"
        return END if chunk is None else chunk.decode().rstrip("\n")

    def _expired(self, command: Command) -> str:
        until = time.monotonic() + EXPIRED_S
        get = Request("GET", f"/v2/keys{command.target}".encode())
        answer = self._connection.ask(get)
        while answer.status == 200 and time.monotonic() < until:
            answer = self._connection.ask(get)
        return _result(answer)


def _result(answer: Response) -> str:
    return shown(answer.status, answer.header("X-Etcd-Index") or "", answer.body)
