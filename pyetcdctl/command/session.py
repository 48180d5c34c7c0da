"""One run of a command: its flags, its operands, and a client when it wants one.

Laws: the order of things is etcdctl's (contract/etcdctl.md, sections 1, 2, 5 and 6): the client is
made, then the endpoints are synchronized, then the command looks at its operands, if it is one
about keys. Whatever ends a run early is an Exit.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NoReturn

from golang.quoting import go_quote
from pyetcdctl.command import output
from pyetcdctl.errors import (
    ClientError,
    ClusterUnavailable,
    DeadlineExceeded,
    NoEndpoints,
)

if TYPE_CHECKING:
    from pyetcdctl.answers import Result
    from pyetcdctl.client import Client
    from pyetcdctl.requests import Request
    from pyetcdctl.tls import TLS

BAD_ARGUMENTS: Final = 1
BAD_CONNECTION: Final = 2
NO_HELP_TOPIC: Final = 3
SERVER_ERROR: Final = 4
NOT_HEALTHY: Final = 5
INTERRUPTED: Final = 130

_STTY: Final = "stty: 'standard input': Inappropriate ioctl for device\n"


class Exit(Exception):
    """The end of the run, with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def fail(error: ClientError | str, status: int) -> NoReturn:
    """End the run with an error, the way commands about keys print one."""
    output.err(f"Error:  {error}\n")
    if isinstance(error, ClusterUnavailable):
        output.err(f"{error.detail}\n")
    raise Exit(status)


def fail_plainly(text: object, status: int = BAD_ARGUMENTS) -> NoReturn:
    """End the run with an error, the way the other commands print one."""
    output.err(f"{text}\n")
    raise Exit(status)


class Session:
    """What a command is given."""

    def __init__(
        self, settings: dict[str, Any], flags: dict[str, Any], operands: list[str]
    ) -> None:
        """`settings`: the global flags; `flags`: the command's own."""
        self.settings = settings
        self.flags = flags
        self.operands = operands
        self._clients: list[Client] = []

    def close(self) -> None:
        """Close the clients it gave."""
        for client in self._clients:
            client.close()

    # -- the client ---------------------------------------------------------------------------

    def client(
        self, *, sync: bool = True, total_timeout: bool = True, endpoints: list[str] | None = None
    ) -> Client:
        """A client whose endpoints are synchronized, unless that is not wanted.

        `endpoints`: in the place of those that flags, variables and discovery give.
        """
        from pyetcdctl.client import Client

        try:
            client = Client(
                self._endpoints() if endpoints is None else endpoints,
                credentials=self._credentials(),
                tls=self._tls(),
                timeout_s=self.settings["timeout"] if self.settings["timeout"] > 0 else None,
                total_timeout_s=self.settings["total-timeout"] if total_timeout else None,
                credentials_of_urls=False,
                on_request=self._print_curl if self.is_debug else None,
            )
        except ClientError as error:
            fail_plainly(error)
        self._clients.append(client)
        if sync and not self.settings["no-sync"]:
            self._sync(client)
        self.print_endpoints(client)
        return client

    @property
    def is_debug(self) -> bool:
        """Whether requests are printed."""
        return bool(self.settings["debug"])

    def print_endpoints(self, client: Client) -> None:
        """Say where requests go, to who debugs."""
        if self.is_debug:
            output.err(f"Cluster-Endpoints: {', '.join(client.endpoints)}\n")

    def _sync(self, client: Client) -> None:
        if self.is_debug:
            output.err(f"start to sync cluster using endpoints({','.join(client.endpoints)})\n")
        try:
            client.sync()
        except NoEndpoints as error:
            output.err(
                "etcd cluster has no published client endpoints.\n"
                "Try '--no-sync' if you want to access non-published client endpoints"
                f"({','.join(client.endpoints)}).\n"
            )
            fail(error, SERVER_ERROR)
        except DeadlineExceeded as error:
            fail(error, BAD_CONNECTION)
        except ClusterUnavailable as error:
            if error.is_connection:
                fail(error, BAD_CONNECTION)
        except ClientError:
            pass  # it may still be good for what is asked of it
        if self.is_debug:
            output.err(f"got endpoints({','.join(client.endpoints)}) after sync\n")

    def _print_curl(self, method: str, url: str, body: str | None) -> None:
        data = "" if body is None else f" -d {go_quote(body)}"
        output.err(f"cURL Command: curl -X {method} {url}{data}\n")

    def _setting(self, flag: str, variable: str) -> str:
        return self.settings[flag] or os.environ.get(variable, "")

    def _endpoints(self) -> list[str]:
        from pyetcdctl.endpoints import DEFAULT

        if self._domain:
            found = self._discovered(self._domain)
            if found:
                return found
        for flag in ("endpoints", "endpoint", "peers"):
            text = self._setting(flag, f"ETCDCTL_{flag.upper()}")
            if text:
                return text.split(",")
        return list(DEFAULT)

    def _discovered(self, domain: str) -> list[str]:
        from pyetcdctl.discovery import client_urls

        name = os.environ.get("ETCDCTL_DISCOVERY_SRV_NAME", "")
        urls = client_urls(domain, name)
        if self._is_insecure:
            return urls
        for url in urls:
            if url.startswith("http://"):
                output.err(f'ignoring discovered insecure endpoint "{url}"\n')
        return [url for url in urls if not url.startswith("http://")]

    @property
    def _domain(self) -> str:
        return self._setting("discovery-srv", "ETCDCTL_DISCOVERY_SRV")

    @property
    def _is_insecure(self) -> bool:
        return bool(
            self.settings["insecure-discovery"] or os.environ.get("ETCDCTL_INSECURE_DISCOVERY")
        )

    def _tls(self) -> TLS:
        from pyetcdctl.tls import TLS

        return TLS(
            self._setting("ca-file", "ETCDCTL_CA_FILE"),
            self._setting("cert-file", "ETCDCTL_CERT_FILE"),
            self._setting("key-file", "ETCDCTL_KEY_FILE"),
            "" if self._is_insecure else self._domain,
        )

    def _credentials(self) -> tuple[str, str] | None:
        name = self._setting("username", "ETCDCTL_USERNAME")
        if not name:
            return None
        user, given, password = name.partition(":")
        if not user:
            return None  # etcdctl sends nothing then
        return user, password if given else ask_password("Password: ")

    # -- commands about keys ------------------------------------------------------------------

    def operand(self, position: int) -> str | None:
        """An operand, if it is there."""
        return self.operands[position] if len(self.operands) > position else None

    def key(self) -> str:
        """The key, which has to be there."""
        if not self.operands:
            fail("key required", BAD_ARGUMENTS)
        return self.operands[0]

    def value(self) -> str:
        """The value: the second operand, or all of stdin."""
        value = self.operand(1)
        if value is not None:
            return value
        try:
            text = output.stdin().decode("utf-8", "surrogateescape")
        except OSError:
            text = ""
        if not text:
            fail("value required", BAD_ARGUMENTS)
        return text

    def ask(self, client: Client, request: Request) -> Result:
        """Make a request about keys; every error ends the run with 4."""
        try:
            return client.keys(request)
        except ClientError as error:
            fail(error, SERVER_ERROR)

    def print(self, result: Result) -> None:
        """Print an answer in the format that was asked for."""
        wanted = self.settings["output"]
        if wanted == "simple":
            output.out(output.simple(result))
        elif wanted == "extended":
            output.out(output.extended(result))
        elif wanted == "json":
            output.out(output.result_json(result) + "\n")
        elif wanted in ("yaml", "table"):
            from pyetcdctl.command import formats

            output.out(formats.result(result, wanted))
        else:
            output.err(f"Unsupported output format: {wanted}\n")


def ask_password(prompt: str) -> str:
    """Ask for a password on the terminal, or read a line of stdin."""
    output.out(prompt)
    try:
        if os.isatty(0):
            password = _typed()
        else:
            output.err(_STTY)
            password = _line()
            output.err(_STTY)
    except KeyboardInterrupt:
        raise Exit(255) from None
    output.out("\n")
    return password


def _typed() -> str:
    """Read a line without an echo; Ctrl-C is told by an exception here.

    What has been typed ahead is read, and what is behind the line left: stty, which etcdctl runs,
    drains, too.
    """
    import signal
    import termios

    before = termios.tcgetattr(0)
    silent = termios.tcgetattr(0)
    silent[3] &= ~termios.ECHO
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    termios.tcsetattr(0, termios.TCSADRAIN, silent)
    try:
        return _line()
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGINT, handler)


def _line() -> str:
    return output.stdin_line().decode("utf-8", "surrogateescape").rstrip("\r")
