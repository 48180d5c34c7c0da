"""A name server on loopback, and processes that know no other."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from tests.pyetcdctl.running import END_S, Outcome, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Zone = dict[tuple[str, str], list[str]]

as_root = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="a resolv.conf of its own wants root"
)
# A place of its own for each test process: the port is always 53.
ADDRESS = f"127.77.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
_RUN = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


@contextlib.contextmanager
def name_server(zone: Zone) -> Iterator[None]:
    """Answer from a zone; names with `servfail` or `refused` in them are answered so."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((ADDRESS, 53))
        server.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    data, asker = server.recvfrom(4096)
                    server.sendto(_answer(zone, data), asker)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _answer(zone: Zone, data: bytes) -> bytes:
    query = dns.message.from_wire(data)
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.RA
    name = str(query.question[0].name).lower()
    kind = dns.rdatatype.to_text(query.question[0].rdtype)
    if "servfail" in name:
        answer.set_rcode(dns.rcode.SERVFAIL)
    elif "refused" in name:
        answer.set_rcode(dns.rcode.REFUSED)
    elif not any(known == name for known, _ in zone):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    if alias := zone.get((name, "CNAME")):
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", *alias))
        name = alias[0]
    if found := zone.get((name, kind)):
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *found))
    return answer.to_wire()


def run_beside(
    directory: Path, program: Sequence[str], words: Sequence[str], more: Mapping[str, str]
) -> Outcome:
    """Run a program whose only name server is ours; `more` goes to its environment."""
    resolv = directory / "resolv.conf"
    resolv.write_text(f"nameserver {ADDRESS}\n")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _RUN, str(resolv), *program, *words],
        env=environment("", ETCDCTL_API="2", **more),
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
