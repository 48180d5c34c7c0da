"""From a URL to a connected socket: plain, TLS, a Unix socket, or by way of a proxy.

Laws: what goes wrong is said in Go's words. Each address of a name is tried while there is time, of
which one that is silent has its share, and the first one's failure is told. A proxy of the
environment is never used for this machine itself. Each step has a limit of its own, also for who
waits for ever: the way by TCP the client's, a proxy's answer to CONNECT a minute, a handshake of
TLS's 10 s (of an AsyncClient all of them together: aiohttp has one limit). A head's time-out, and
that of the whole, are for all of it, from the beginning on. A socket is this process's alone as
soon as it is made.
"""

from __future__ import annotations

import base64
import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyetcdctl import arguments, authority, forking, http1, requests, tls_errors
from pyetcdctl.endpoints import Endpoint
from pyetcdctl.errors import (
    BadCredentials,
    BadEndpoint,
    BadTLS,
    ConnectionEnded,
    DeadlineExceeded,
    DialFailed,
    EndpointFailed,
    ReadFailed,
    TLSFailed,
    in_words,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from pyetcdctl.tls import TLS

_PORT_MAX: Final = 65535
DIAL_S: Final = 30.0
CONNECT_S: Final = 60.0
HANDSHAKE_S: Final = 10.0
_KEEPALIVE_S: Final = 30
_SHARE_S: Final = 2.0
_PIECE_BYTES: Final = 4096
_LOOK_S: Final = 2.0
_SOCKS: Final = "socks5"
_SCHEMES: Final = ("http", "https", "unix", "unixs")
_RESOLV_CONF: Final = "/etc/resolv.conf"


class Line(NamedTuple):
    """A connected socket, and what requests on it have to say."""

    socket: socket.socket
    host: str
    # In front of each target: the origin, for a proxy that is not tunnelled through.
    prefix: str = ""
    headers: dict[str, str] = {}

    def target(self, target: str) -> str:
        """The request line's target."""
        return self.prefix + target


def split(url: str) -> tuple[Endpoint, str]:
    """Split a whole URL into where it leads and the request's target."""
    endpoint = Endpoint.parse(url)
    target = (endpoint.path or "/") + (f"?{endpoint.query}" if endpoint.query else "")
    return endpoint, requests.escape_odd(target)


def limit_s(total_s: float | None) -> float:
    """How long the connection over TCP may take of a client that waits so long in all (s, None for
    ever): also of a long poll, as in etcdctl.
    """
    return DIAL_S if not total_s else max(0.001, min(DIAL_S, total_s))


def dial(endpoint: Endpoint, by: float | None, tls: TLS, dial_s: float = DIAL_S) -> Line:
    """Connect, by then (time.monotonic(), None: at some time) and over TCP in so much time (s).
    Raises DialFailed, TLSFailed or EndpointFailed, and DeadlineExceeded for a silent proxy.
    """
    if endpoint.scheme not in _SCHEMES:
        raise EndpointFailed(f'unsupported protocol scheme "{endpoint.scheme}"')
    check_host(endpoint)
    line = _connected(endpoint, by, dial_s)
    if endpoint.scheme in ("https", "unixs"):
        secured = _secured(line.socket, endpoint, tls, _step_by(by, HANDSHAKE_S))
        return line._replace(socket=secured)
    return line


def _step_by(by: float | None, step_s: float) -> float:
    """When a step that begins now has to be over."""
    step_by = time.monotonic() + step_s
    return step_by if by is None else min(step_by, by)


def _connected(endpoint: Endpoint, by: float | None, dial_s: float) -> Line:
    deadline = _step_by(by, dial_s)
    if endpoint.scheme in ("unix", "unixs"):
        return Line(_unix(endpoint, deadline), endpoint.host_header)
    host = endpoint.host_header
    proxy = proxy_of(endpoint)
    if proxy is None:
        return Line(_tcp(endpoint, deadline), host)
    try:
        sock = _tcp(proxy, deadline)
    except DialFailed as error:
        raise DialFailed(f"proxyconnect tcp: {error}") from None
    if endpoint.scheme == "https":
        _tunnel(sock, endpoint, proxy, _step_by(by, CONNECT_S))
        return Line(sock, host)
    return Line(sock, host, f"http://{host}", proxy_headers(proxy))


def check_host(endpoint: Endpoint) -> None:
    """Refuse a host that cannot be dialled, as Go does before it asks a name server; raises
    EndpointFailed.
    """
    host = endpoint.host
    if not host and endpoint.port is None:
        raise EndpointFailed("http: no Host in request URL")
    if not host or endpoint.scheme in ("unix", "unixs") or authority.is_address(host):
        return
    if not authority.is_name(host):
        raise DialFailed(f"dial tcp: lookup {host}: no such host")
    # The C library takes 0x7f000001 for an address.
    with suppress(OSError):
        socket.inet_aton(host)
        raise not_found(endpoint)


def not_found(endpoint: Endpoint, error: Exception | None = None) -> DialFailed:
    """What it is called when a host's address is not found, because of an error of getaddrinfo."""
    failed = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
    why = "server misbehaving" if failed else "no such host"
    return DialFailed(f"dial tcp: lookup {endpoint.host} on {name_server()}: {why}")


def port_of(endpoint: Endpoint) -> int:
    """The port to dial; raises DialFailed for one that cannot be."""
    port = int(endpoint.address.rpartition(":")[2])
    if port > _PORT_MAX:
        raise DialFailed(f"dial tcp: address {port}: invalid port")
    return port


def _tcp(endpoint: Endpoint, deadline: float) -> socket.socket:
    port = port_of(endpoint)
    # As bytes: of a text, Python would make punycode once more, and load the tables for it.
    host = endpoint.host.encode("ascii") if endpoint.host else None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise not_found(endpoint, error) from None
    first: DialFailed | None = None
    for number, (family, kind, protocol, _name, address) in enumerate(found):
        left_s = deadline - time.monotonic()
        if first is not None and left_s <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        forking.connected(sock)
        try:
            sock.settimeout(max(0.001, share_s(left_s, len(found) - number)))
            sock.connect(address)
            tune(sock)
        except OSError as error:
            sock.close()
            is_name = endpoint.host and not authority.is_address(endpoint.host)
            place = _end((str(address[0]), port)) if is_name else endpoint.address
            first = first or DialFailed(f"dial tcp {place}: {_dial_words(error)}")
            continue
        return sock
    raise first or DialFailed(f"dial tcp: lookup {endpoint.host}: no such host")


def share_s(left_s: float, addresses: int) -> float:
    """How long the first of so many addresses may take of what is left (s), as in Go."""
    return max(left_s / addresses, min(_SHARE_S, left_s))


def tune(sock: socket.socket) -> None:
    """Set what every TCP connection to a server has, with the times of Go's."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # An idle long poll through a firewall that forgets connections must not hang for ever.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S)


def _unix(endpoint: Endpoint, deadline: float) -> socket.socket:
    # unix://name:1 is the file "name:1" in the working directory, as etcd names its sockets.
    path = endpoint.address
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    forking.connected(sock)
    try:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise DialFailed(f"dial unix {path}: {_dial_words(error)}") from None
    return sock


def _dial_words(error: OSError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "i/o timeout"
    return f"connect: {in_words(error)}"


def name_server() -> str:
    """The first name server of this machine, host:port."""
    try:
        with open(_RESOLV_CONF, encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.split()
                if len(words) > 1 and words[0] == "nameserver":
                    return f"[{words[1]}]:53" if ":" in words[1] else f"{words[1]}:53"
    except OSError:
        pass
    return "127.0.0.1:53"


def broken(error: OSError, sock: socket.socket) -> EndpointFailed:
    """What an error on a connection is called."""
    if tls_errors.is_one(error):
        return tls_errors.failure(error)
    try:
        ends = f"{_end(sock.getsockname())}->{_end(sock.getpeername())}"
    except (OSError, IndexError):
        return ReadFailed(f"read: {in_words(error)}")
    return ReadFailed(f"read tcp {ends}: read: {in_words(error)}")


def _end(name: tuple[str, int]) -> str:
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


# -- TLS ------------------------------------------------------------------------------------


def _secured(sock: socket.socket, endpoint: Endpoint, tls: TLS, deadline: float) -> socket.socket:
    try:
        return _shaken(sock, tls.context, _name(endpoint, tls), deadline)
    except TimeoutError:
        raise EndpointFailed("net/http: TLS handshake timeout") from None
    except (ConnectionResetError, BrokenPipeError):
        raise ConnectionEnded("EOF") from None
    except OSError as error:
        raise tls_failure(error, endpoint, tls, deadline) from None
    except BadTLS as error:  # good ones were there when the client was made
        raise TLSFailed(str(error)) from None
    except ValueError as error:  # a name that no certificate can be for
        raise TLSFailed(f"tls: {error}") from None


def _shaken(
    sock: socket.socket, context: Callable[[], ssl.SSLContext], name: str, deadline: float
) -> ssl.SSLSocket:
    """TLS on a connection, which is closed if that fails."""
    try:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        # Not with the handshake at once: another object has the descriptor then, which a fork in
        # the middle of it has to find.
        secured = context().wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
    except BaseException:
        sock.close()
        raise
    forking.connected(secured)
    try:
        secured.do_handshake()
    except BaseException:
        secured.close()
        raise
    return secured


def _name(endpoint: Endpoint, tls: TLS) -> str:
    """Whose certificate it has to be."""
    return tls.server_name or endpoint.host.removesuffix(".")


def tls_failure(
    error: OSError, endpoint: Endpoint, tls: TLS, deadline: float | None = None
) -> EndpointFailed:
    """What an error of OpenSSL's in dialling is called, after a second look if it was for the
    certificate's names or times: the error does not say which those are.
    """
    from pyetcdctl import certificates

    code = getattr(error, "verify_code", 0)
    if code not in (*certificates.OF_NAMES, *certificates.OF_TIMES):
        return tls_errors.failure(error)
    look_by = time.monotonic() + _LOOK_S
    certificate = _look(endpoint, tls, look_by if deadline is None else min(deadline, look_by))
    told = certificates.refusal(certificate, tls.server_name or endpoint.host, code)
    return TLSFailed(f"x509: {told}") if told else tls_errors.failure(error)


def _look(endpoint: Endpoint, tls: TLS, deadline: float) -> Mapping[str, Any]:
    """The certificate of who is there, if its authority vouches for it; else nothing."""
    try:
        sock = _connected(endpoint, deadline, _LOOK_S).socket
        with _shaken(sock, tls.second_look, _name(endpoint, tls), deadline) as secured:
            return secured.getpeercert() or {}
    except (BadTLS, DeadlineExceeded, EndpointFailed, OSError, ValueError):
        return {}


# -- proxies --------------------------------------------------------------------------------


def proxy_of(endpoint: Endpoint) -> Endpoint | None:
    """The proxy that the environment names for an endpoint."""
    name = f"{endpoint.scheme}_proxy"
    text = os.environ.get(name.upper()) or os.environ.get(name)
    proxy = _proxy_url(text) if text else None
    if proxy is None:
        return None
    if endpoint.scheme == "http" and os.environ.get("REQUEST_METHOD"):
        # There a client of the web server has a say in it.
        raise EndpointFailed(
            "refusing to use HTTP_PROXY value in CGI environment; see golang.org/s/cgihttpproxy"
        )
    if _is_direct(endpoint):
        return None
    if proxy.scheme == _SOCKS:
        # DEVIATES: etcdctl speaks it.
        raise DialFailed(
            f"socks connect tcp {proxy.address}->{endpoint.address}: SOCKS5 is not spoken here, "
            "only by way of a proxy that speaks HTTP"
        )
    return proxy


def _proxy_url(text: str) -> Endpoint | None:
    """What is no URL of a proxy is taken for its authority, and else for nothing, as in Go."""
    for url in (text, f"http://{text}"):
        with suppress(BadEndpoint):
            proxy = Endpoint.parse(url)
            if "://" in url and proxy.scheme in ("http", "https", _SOCKS):
                return proxy
    return None


def _is_direct(endpoint: Endpoint) -> bool:
    host = endpoint.host.lower()
    if host == "localhost" or host == "::1" or host.startswith("127."):
        return True
    listed = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    for word in (word.strip().lower() for word in listed.split(",")):
        if "/" in word and _is_within(host, word):
            return True
        name = word.partition(":")[0] if word.count(":") == 1 else word
        if word and (word == "*" or host == name or host.endswith("." + name.lstrip("."))):
            return True
    return False


def _is_within(host: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def proxy_headers(proxy: Endpoint) -> dict[str, str]:
    """What a proxy is told besides."""
    if proxy.credentials is None:
        return {}
    return {"Proxy-Authorization": basic(proxy.credentials)}


def basic(credentials: tuple[str, str]) -> str:
    """Credentials as HTTP's Basic authentication sends them; raises BadCredentials."""
    arguments.credentials(credentials)
    user, password = credentials
    if ":" in user:
        raise BadCredentials(
            f"credentials: the user name {user!r} has a colon in it, but the password begins there"
        )
    try:
        pair = f"{user}:{password}".encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadCredentials(
            "credentials: user name and password have to be texts, but half of a surrogate pair is "
            "in them"
        ) from None
    return f"Basic {base64.b64encode(pair).decode()}"


def _tunnel(sock: socket.socket, endpoint: Endpoint, proxy: Endpoint, deadline: float) -> None:
    lines = [f"CONNECT {endpoint.address} HTTP/1.1", f"Host: {endpoint.address}"]
    lines += [f"{name}: {value}" for name, value in proxy_headers(proxy).items()]

    def receive() -> bytes:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        # What comes behind the head is nobody's: a server of TLS's is spoken to first.
        return sock.recv(_PIECE_BYTES)

    try:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        head = http1.read_head_alone(http1.Reader(receive))
        if head is None:
            raise ConnectionEnded("unexpected EOF")
        if head.status != 200:
            raise EndpointFailed(no_tunnel(head.reason))
    except OSError as error:
        is_late = isinstance(error, TimeoutError) and error.errno is None
        failed = DeadlineExceeded() if is_late else broken(error, sock)
        sock.close()
        raise failed from None
    except EndpointFailed as error:
        sock.close()
        raise of_tunnel(error) from None


def no_tunnel(reason: str | None) -> str:
    """What it is called that a proxy does not lead on, and says why, or does not."""
    return "unknown status code" if reason is None else reason


def of_tunnel(error: EndpointFailed) -> EndpointFailed:
    """What an error in a proxy's own answer is called."""
    told = str(error)
    if not told.startswith(http1.BROKEN):
        return error
    return EndpointFailed(told.removeprefix(http1.BROKEN))
