"""An event loop whose end does not wait for the resolver.

asyncio looks names up in a pool of threads, and at the end waits for them: as long as a name server
does not answer, a signal would not end the process.

Laws: a look-up that nobody waits for any more is left to itself, and dies with the process.
"""

import asyncio
import contextlib
import socket
import threading
from typing import Any


class Loop(asyncio.SelectorEventLoop):
    """asyncio's own, but for the threads of look-ups."""

    # The names and the types are asyncio's.
    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0,
        flags: int = 0,
    ) -> Any:  # fmt: skip
        """The addresses of a name; raises OSError, UnicodeError."""
        answer: asyncio.Future[Any] = self.create_future()

        def settle(found: Any, error: Exception | None) -> None:
            if answer.done():
                return
            if error:
                answer.set_exception(error)
            else:
                answer.set_result(found)

        def look_up() -> None:
            found, failure = None, None
            try:
                found = socket.getaddrinfo(host, port, family, type, proto, flags)
            except (OSError, UnicodeError) as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self.call_soon_threadsafe(settle, found, failure)

        threading.Thread(target=look_up, name="look-up", daemon=True).start()
        return await answer
