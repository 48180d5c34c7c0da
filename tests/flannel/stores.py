"""Stores to lease from, and an operator with curl beside them.

Laws: each test has a prefix of its own, so that a store is started once; what an operator does
goes without our client library.
"""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.clients.waiting import until
from tests.flannel.hosts import Host, Wire
from tests.oracle.process import ROOT, Server, find_etcd
from tests.oracle.wire import Request

FORM = "application/x-www-form-urlencoded"
READY_S = 60.0
OVERRUN = """
import http.client, sys
host, target, count, form = sys.argv[1:]
connection = http.client.HTTPConnection(host, 2379, timeout=30)
for number in range(int(count)):
    connection.request("PUT", target, f"value={number}", {"Content-Type": form})
    connection.getresponse().read()
"""

Ask = Callable[[str, str, str], bytes]
"""Method, target and form body in; the answer's body out."""


@dataclass(frozen=True, slots=True)
class Operator:
    """What an operator does by hand below one prefix."""

    ask_raw: Ask
    prefix: str

    @staticmethod
    def at(server: Server) -> "Operator":
        """One with a prefix nobody has."""

        def ask(method: str, target: str, body: str) -> bytes:
            with server.connect() as connection:
                return connection.ask(Request.form(method, target, body)).body

        return Operator(ask, f"/{uuid.uuid4().hex}/network")

    def ask(self, method: str, key: str, **form: str | int) -> dict[str, Any]:
        """One request on a key below the prefix."""
        target = f"/v2/keys{self.prefix}/{key}".rstrip("/")
        found: dict[str, Any] = json.loads(self.ask_raw(method, target, urlencode(form)))
        return found

    def get(self, key: str) -> dict[str, Any]:
        """A node, or the error."""
        answer = self.ask("GET", key)
        node: dict[str, Any] = answer.get("node", answer)
        return node

    def set(self, key: str, value: str, **form: str | int) -> int:
        """Write a key; its index."""
        answer = self.ask("PUT", key, value=value, **form)
        return int(answer["node"]["modifiedIndex"])

    def delete(self, key: str, query: str = "") -> None:
        """Remove a key."""
        self.ask("DELETE", f"{key}{query}")

    def configure(self, **config: Any) -> None:
        """Write the network config."""
        self.set("config", json.dumps(config))

    def subnets(self) -> dict[str, str]:
        """The leases: name -> value."""
        nodes = self.get("subnets").get("nodes", [])
        return {node["key"].rpartition("/")[2]: node["value"] for node in nodes}

    def lease_of(self, public_ip: str) -> str:
        """The name of a host's lease; empty if it has none."""
        mine = (name for name, value in self.subnets().items() if f'"{public_ip}"' in value)
        return next(mine, "")

    def overrun(self, count: int) -> None:
        """Write other keys, so that the store forgets what was before."""
        for number in range(count):
            self.ask_raw("PUT", f"/v2/keys{self.prefix}-other", f"value={number}")


class WireStore:
    """A store at 172.17.8.1:2379, on the wire that hosts share."""

    def __init__(self, wire: Wire, kind: str, directory: Path) -> None:
        self.url = f"http://{wire.address}:2379"
        self._wire = wire
        self._program = {
            "etcd": [find_etcd()[0], "--enable-v2"],
            "pyetcd": [sys.executable, "-m", "server"],
        }[kind]
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "WireStore":
        """Run it, on the same data as before."""
        options = [
            "--data-dir", str(self._directory / "store"),
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
        ]  # fmt: skip
        line = [*self._program, *options]
        self._process = self._wire.start(line, self._directory / "store.log", PYTHONPATH=str(ROOT))
        until(self._answers, "the store is ready", deadline_s=READY_S)
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running store."""
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """As a crash."""
        self.process.kill()
        self.process.wait()

    def operator(self) -> Operator:
        """Somebody who can reach it."""
        return Operator(self.ask, f"/{uuid.uuid4().hex}/network")

    def ask(self, method: str, target: str, body: str = "") -> bytes:
        """One request."""
        return self._wire.run(*_curl(method, f"{self.url}{target}", body)).encode()

    def overrun(self, count: int) -> None:
        """Write a key of no interest that often."""
        self._wire.run(
            sys.executable, "-c", OVERRUN, self._wire.address, "/v2/keys/other", str(count), FORM
        )

    def _answers(self) -> bool:
        body = self._wire.run("curl", "-sm", "2", f"{self.url}/version", check=False)
        return "etcdcluster" in body and "not_decided" not in body


class Members:
    """Three members of ours, one on each of three hosts, at the talk's addresses."""

    def __init__(self, hosts: list[Host], directory: Path) -> None:
        self._hosts = hosts
        self._directory = directory
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.urls = [f"http://{host.address}:2379" for host in hosts]

    def start(self) -> "Members":
        """Run all, on the same data as before."""
        self._processes = {number: self._spawn(number) for number in range(len(self._hosts))}
        for number in self._processes:
            until(partial(self._answers, number), "the member is ready", deadline_s=READY_S)
        return self

    def kill(self, *numbers: int) -> None:
        """As a crash, of those or of all."""
        for number in numbers or tuple(self._processes):
            process = self._processes.pop(number)
            process.kill()
            process.wait()

    def leader(self) -> int:
        """Whose stats say so."""
        for number in self._processes:
            answer = json.loads(self._ask(number, "GET", "/v2/stats/self"))
            if answer["state"] == "StateLeader":
                return number
        raise AssertionError("nobody leads")

    def operator(self) -> Operator:
        """Somebody who asks the first member that runs."""

        def ask(method: str, target: str, body: str) -> bytes:
            return self._ask(min(self._processes), method, target, body).encode()

        return Operator(ask, f"/{uuid.uuid4().hex}/network")

    def _spawn(self, number: int) -> "subprocess.Popen[bytes]":
        host, url = self._hosts[number], self.urls[number]
        peers = [f"http://{each.address}:2380" for each in self._hosts]
        line = [
            sys.executable, "-m", "server", "--name", host.name,
            "--data-dir", str(self._directory / f"{host.name}.etcd"),
            "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", peers[number], "--initial-advertise-peer-urls", peers[number],
            "--initial-cluster",
            ",".join(f"{each.name}={peer}" for each, peer in zip(self._hosts, peers, strict=True)),
        ]  # fmt: skip
        return host.start(line, self._directory / f"{host.name}.log", PYTHONPATH=str(ROOT))

    def _answers(self, number: int) -> bool:
        line = ("curl", "-sm", "2", f"{self.urls[number]}/health")
        return '"true"' in self._hosts[number].run(*line, check=False)

    def _ask(self, number: int, method: str, target: str, body: str = "") -> str:
        return self._hosts[number].run(*_curl(method, f"{self.urls[number]}{target}", body))


def _curl(method: str, url: str, body: str) -> list[str]:
    """One request with curl."""
    line = ["curl", "-sS", "-X", method, "-m", "20", url]
    return [*line, "-H", f"Content-Type: {FORM}", "--data", body] if body else line
