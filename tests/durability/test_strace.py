"""No reply, and no event, leaves the server before the fdatasync that covers it."""

import threading

from tests.clients.reachable import first_watcher
from tests.durability.system_calls import Traced, told_too_early
from tests.oracle import Request, Server

WRITERS = 6
WRITES = 40


def _write(server: Server, writer: int, tokens: list[str]) -> None:
    with server.connect() as connection:
        for number in range(WRITES):
            token = f"token-{writer}-{number:04}."
            target = f"/v2/keys/w{writer}/k{number}"
            answer = connection.ask(Request.form("PUT", target, f"value={token}"))
            assert answer.status == 201, answer
            tokens.append(token)


def _traced_run(*options: str) -> tuple[list[str], list[str]]:
    """All tokens written by several clients at once, and those that were told too early."""
    with Traced(args=options) as server:
        tokens: list[str] = []
        with first_watcher(server) as registered, server.connect() as stream:
            # A watcher must not hear either of what a power loss can still undo.
            stream.start(Request("GET", b"/v2/keys/?wait=true&stream=true&recursive=true"))
            registered()
            threads = [
                threading.Thread(target=_write, args=(server, writer, tokens))
                for writer in range(WRITERS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            trace = server.finish()
    assert len(tokens) == WRITERS * WRITES
    return tokens, told_too_early(trace, tokens)


def test_no_reply_before_its_fdatasync() -> None:
    """Goal: what a client is told survives a power loss. Method: concurrent writers and a stream
    watcher; strace shows each value written to the log, synced, and only then sent."""
    _tokens, early = _traced_run()
    assert early == []


def test_a_server_that_does_not_sync_is_seen() -> None:
    """Goal: the test above has eyes. Method: the same with the fdatasync taken out
    (--unsafe-no-fsync): every single reply is too early."""
    tokens, early = _traced_run("--unsafe-no-fsync")
    assert sorted(early) == sorted(tokens)
