"""Lab 1, told and checked: three hosts, etcd, flannel, Docker's options, a page across hosts.

Laws: what is shown was run, and what was run is checked; the first thing that is not as it should
be ends the lab with a sentence. Docker itself is not needed: its bridge and its containers are made
with `ip`, from the options that flannel left for it.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from deploy.lab.flavours import DEPLOY
from deploy.lab.hosts import CommandFailed, Switch, run
from deploy.lab.units import Service, Unit, environment_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deploy.lab.flavours import Flavour
    from deploy.lab.hosts import Host

NAMES: Final = ("atomic-01", "atomic-02", "atomic-03")
MEMBERS: Final = (
    "25d6ce33763c5524: name=atomic-02 peerURLs=http://172.17.8.102:2380",
    "6ae27f9fa2984b1d: name=atomic-01 peerURLs=http://172.17.8.101:2380",
    "ff32f4b39b9c47bd: name=atomic-03 peerURLs=http://172.17.8.103:2380",
)
PAGE: Final = "Hello from a container on atomic-01"
_DEADLINE_S: Final = 30.0
_LOOK_S: Final = 0.1


class NotAsItShouldBe(Exception):
    """A step had another outcome; the message is a sentence."""


class Lab:
    """The hosts and what runs on them."""

    def __init__(self, space: Path, say: Callable[[str], None]) -> None:
        """`space`: a directory for logs; `say` prints a line."""
        self._space = space
        self._say = say
        self._switch = Switch()
        self._services: list[Service] = []
        self._children: list[subprocess.Popen[str]] = []
        self._hosts: list[Host] = []

    def close(self) -> None:
        """End everything."""
        for child in self._children:
            child.kill()
            child.wait()
        for service in reversed(self._services):
            service.stop()
        self._switch.close()

    # -- saying and doing -------------------------------------------------------------------

    def step(self, title: str) -> None:
        """Begin a step."""
        self._say(f"\n== {title}")

    def type(self, host: Host, line: str) -> str:
        """Type a command on a host, and show what it prints."""
        self._say(f"[{self._name(host)}]# {line}")
        out = host.run(*_words(line))
        self._show(out)
        return out

    def _show(self, out: str) -> None:
        for line in out.splitlines():
            self._say(line)

    def _name(self, host: Host) -> str:
        return NAMES[self._hosts.index(host)]

    def _check(self, holds: bool, sentence: str) -> None:
        if not holds:
            raise NotAsItShouldBe(sentence)
        self._say(f"  ok: {sentence}")

    def _until(self, condition: Callable[[], object], sentence: str) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while not condition():
            if time.monotonic() > deadline:
                raise NotAsItShouldBe(f"not within {_DEADLINE_S:g} s: {sentence}")
            time.sleep(_LOOK_S)
        self._say(f"  ok: {sentence}")

    def _begin(self, unit: Path, host: Host) -> Service:
        self._say(f"[{self._name(host)}]# systemctl start {unit.stem}")
        log = self._space / f"{self._name(host)}-{unit.stem}.log"
        service = Service.start(Unit(unit), host, log)
        self._services.append(service)
        return service

    # -- the steps --------------------------------------------------------------------------

    def hosts(self) -> None:
        """Three hosts with the talk's files."""
        self.step("Three hosts, 172.17.8.101 to .103, each with an eth1 and files of its own")
        sample = (DEPLOY / "etc" / "etcd" / "etcd.conf").read_text()
        for number, name in enumerate(NAMES, start=1):
            host = self._switch.add()
            host.furnish()
            self._hosts.append(host)
            host.write("/etc/etcd/etcd.conf", _conf(sample, number))
            self._say(f"{name}: {host.address}")
        self.type(self._hosts[0], "cat /etc/etcd/etcd.conf")

    def etcd(self) -> None:
        """A cluster of three."""
        self.step("etcd on each; the first one waits for a second")
        unit = DEPLOY / "systemd" / "etcd.service"
        first = self._begin(unit, self._hosts[0])
        services = [first, *(self._begin(unit, host) for host in self._hosts[1:])]
        for service in services:
            service.wait()
        told = self.type(self._hosts[0], "etcdctl member list")
        self._check(
            [line.split(" clientURLs")[0] for line in told.splitlines()] == list(MEMBERS),
            "the talk's three members, with the talk's ids",
        )
        self._check(told.count("isLeader=true") == 1, "one of them leads")
        told = self.type(self._hosts[1], "etcdctl cluster-health")
        self._check(told.endswith("cluster is healthy\n"), "all are healthy")

    def keys(self) -> None:
        """set, get and watch across hosts."""
        self.step("A value set on one host is read and watched on another")
        one, two, three = self._hosts
        self.type(one, """etcdctl set /test/value '{"test": "value0"}'""")
        told = self.type(three, "etcdctl get /test/value")
        self._check(told == '{"test": "value0"}\n', "host 3 has what host 1 set")
        watch = self._start(three, "etcdctl watch /test/value")
        self._until(lambda: self._watchers() > 0, "host 3 watches")
        self.type(two, """etcdctl set /test/value '{"test": "value1"}'""")
        out, _ = watch.communicate(timeout=_DEADLINE_S)
        self._say(f"[{NAMES[2]}] the watch prints: {out.rstrip()}")
        self._check(out == '{"test": "value1"}\n', "the watch on host 3 told what host 2 set")

    def _watchers(self) -> int:
        """How many watch, on all members."""
        count = 0
        for host in self._hosts:
            told = host.run("curl", "-s", f"http://{host.address}:2379/v2/stats/store")
            match = re.search(r'"watchers":(\d+)', told)
            count += int(match[1]) if match else 0
        return count

    def _start(self, host: Host, line: str) -> subprocess.Popen[str]:
        self._say(f"[{self._name(host)}]# {line} &")
        child = subprocess.Popen(
            [*host.prefix, *_words(line)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._children.append(child)
        return child

    def flannel(self, flavour: Flavour) -> None:
        """A subnet and a way to the others for each host."""
        self.step(f"flannel, {flavour.backend}: the network's configuration, then flanneld on each")
        self.type(self._hosts[0], f"etcdctl set {flavour.prefix}/config '{flavour.config}'")
        for host in self._hosts:
            host.write(flavour.settings, flavour.sample.read_text())
        self.type(self._hosts[0], f"cat {flavour.settings}")
        services = [self._begin(flavour.unit, host) for host in self._hosts]
        for service in services:
            service.wait()
        for host in self._hosts:
            self.type(host, "cat /run/flannel/subnet.env")
        told = self.type(self._hosts[2], f"etcdctl ls {flavour.prefix}/subnets")
        self._check(len(set(told.splitlines())) == len(NAMES), "three leases, three subnets")

    def docker(self, flavour: Flavour) -> None:
        """Docker's bridge and a container on two hosts, from flannel's options."""
        self.step("Docker, with the options flannel left for it, and a container on hosts 1 and 3")
        self.type(self._hosts[0], f"cat {flavour.docker_file}")
        for host in self._hosts:
            options = environment_file(host.read(flavour.docker_file))
            bip = options["DOCKER_OPT_BIP"].removeprefix("--bip=")
            mtu = int(options["DOCKER_OPT_MTU"].removeprefix("--mtu="))
            self._check(mtu == 1500 - flavour.overhead, f"Docker's MTU is {mtu}")
            self._check(
                ipaddress.ip_interface(bip) in ipaddress.ip_network(flavour.network),
                f"docker0 gets {bip}",
            )
            self._dockerd(host, bip, mtu, options["DOCKER_OPT_IPMASQ"].endswith("true"))
        for host, name in ((self._hosts[0], "web"), (self._hosts[2], "client")):
            bip, mtu = self._bridge(host)
            inside = ipaddress.ip_interface(bip)
            address = f"{inside.ip + 1}/{inside.network.prefixlen}"
            host.contain(name, address, str(inside.ip), mtu)
            self._say(f"[{self._name(host)}] container {name}: {address}")

    def _dockerd(self, host: Host, bip: str, mtu: int, masquerade: bool) -> None:
        """What dockerd does to a host's network."""
        host.run("ip", "link", "add", "docker0", "type", "bridge")
        host.run("ip", "link", "set", "docker0", "mtu", str(mtu), "up")
        host.run("ip", "address", "add", bip, "dev", "docker0")
        host.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        host.run("iptables", "-w", "-P", "FORWARD", "DROP")
        if masquerade:
            subnet = str(ipaddress.ip_interface(bip).network)
            host.run("iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-s", subnet,
                     "!", "-o", "docker0", "-j", "MASQUERADE")  # fmt: skip

    def _bridge(self, host: Host) -> tuple[str, int]:
        told = host.run("ip", "-o", "-4", "address", "show", "docker0").split()
        mtu = re.search(r"mtu (\d+)", host.run("ip", "-o", "link", "show", "docker0"))
        assert mtu is not None
        return told[told.index("inet") + 1], int(mtu[1])

    def page(self, flavour: Flavour) -> None:
        """A page from a container on host 1 in a container on host 3."""
        self.step("A page from a container on host 1, fetched in a container on host 3")
        one, _two, three = self._hosts
        web, client = one.containers["web"], three.containers["client"]
        site = self._space / "site"
        site.mkdir(exist_ok=True)
        (site / "index.html").write_text(f"{PAGE}\n")
        line = "python3 -m http.server 80"
        self._say(f"[{NAMES[0]}] web# {line} &")
        self._children.append(
            subprocess.Popen(
                [*web.prefix, sys.executable, *line.split()[1:], "--directory", str(site)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        self.type(three, "ip route")
        self._until(lambda: _reaches(client.prefix, web.address), f"client pings {web.address}")
        self._say(f"[{NAMES[2]}] client# curl http://{web.address}/")
        self._until(
            lambda: self._fetched(client.prefix, web.address), "the page came across the hosts"
        )
        # As large as it may be: the MTU is right on the whole way.
        size = 1500 - flavour.overhead - 28
        client.run("ping", "-c", "1", "-W", "5", "-M", "do", "-s", str(size), web.address)
        self._check(True, f"a packet of the whole MTU passes ({size} bytes of ping)")
        source = run(*client.prefix, "ip", "-o", "-4", "address", "show", "eth0").split()[3]
        self._say(f"  (client is {source}; no address was translated on the way)")

    def _fetched(self, prefix: tuple[str, ...], address: str) -> bool:
        try:
            out = run(*prefix, "curl", "-s", "-m", "5", f"http://{address}/")
        except CommandFailed:
            return False
        self._show(out)
        return out == f"{PAGE}\n"


def _words(line: str) -> list[str]:
    """A command as it was typed; the client is ours, under etcdctl's name."""
    words = shlex.split(line)
    if words[0] == "etcdctl":
        return [sys.executable, "-m", "pyetcdctl", *words[1:]]
    return words


def _conf(sample: str, number: int) -> str:
    """The sample etcd.conf, for host N."""
    lines = []
    for line in sample.splitlines():
        if not line.startswith(("#", "ETCD_INITIAL_CLUSTER=")):
            line = line.replace("172.17.8.101", f"172.17.8.{100 + number}")
            line = line.replace("atomic-01", NAMES[number - 1])
        if not line.startswith("#"):
            lines.append(line)
    return "\n".join(lines) + "\n"


def _reaches(prefix: tuple[str, ...], address: str) -> bool:
    try:
        run(*prefix, "ping", "-c", "1", "-W", "1", address)
    except CommandFailed:
        return False
    return True
