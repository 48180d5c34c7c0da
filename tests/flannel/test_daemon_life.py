"""Goal: what can go wrong at start and later ends as the contract says, and is said clearly.

Method: the real program on a host made for it, one fault at a time; what it leaves in the kernel
is compared with what was there before.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.waiting import until
from tests.flannel.daemon import Daemon
from tests.flannel.hosts import Host, as_root, network
from tests.flannel.stores import Operator, WireStore

pytestmark = as_root

NETWORK = {"Network": "172.24.0.0/16", "Backend": {"Type": "vxlan"}}
ALLOC = {"Network": "172.24.0.0/16", "Backend": {"Type": "alloc"}}


class Scene:
    """Two hosts and a store."""

    def __init__(self, hosts: list[Host], store: WireStore, directory: Path) -> None:
        self.host, self.other = hosts
        self.store = store
        self.operator: Operator = store.operator()
        self.directory = directory

    def daemon(
        self, *arguments: str, host: Host | None = None, prefix: tuple[str, ...] = ()
    ) -> Daemon:
        """A daemon on the first host; not started."""
        place = (f"-etcd-endpoints={self.store.url}", f"-etcd-prefix={self.operator.prefix}")
        return Daemon(
            host or self.host, self.directory, *place, "-iface=eth1", *arguments, prefix=prefix
        )


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[list[Host], WireStore]]:
    """Made once."""
    with network(2) as (wire, hosts, _):
        yield hosts, WireStore(wire, "pyetcd", tmp_path_factory.mktemp("store")).start()


@pytest.fixture
def scene(place: tuple[list[Host], WireStore], tmp_path: Path) -> Iterator[Scene]:
    """Clean hosts."""
    hosts, store = place
    made = Scene(hosts, store, tmp_path)
    yield made
    for host in hosts:
        for link in host.json("link"):
            if link["ifname"].startswith("flannel"):
                host.ip("link", "delete", link["ifname"])
        host.ip("route", "flush", "root", "172.24.0.0/16")
        for chain in (("nat", "POSTROUTING"), ("filter", "FORWARD")):
            host.run("iptables", "-t", chain[0], "-F", chain[1])


def state(host: Host) -> str:
    """All that a failed start could have left behind."""
    parts = [host.ip("-o", "link"), host.ip("address"), host.ip("route"), host.ip("neigh")]
    parts += [host.run("iptables", "-t", table, "-S") for table in ("nat", "filter")]
    # An address that was given a moment ago is tentative, and then it is not.
    lines = "\n".join(parts).replace(" tentative", "").splitlines()
    return "\n".join(line for line in lines if "lft" not in line and "172.17.8.1 " not in line)


def test_a_wrong_config_is_waited_out(scene: Scene) -> None:
    """The talk's slide: the complaint says where; put right, the daemon starts without being told;
    meanwhile a signal ends it with 0."""
    slide = '{"Network": "172.24.0.0/16",\n "Backend": {"Type": "vxlan",}}'
    before = state(scene.host)
    daemon = scene.daemon().start()
    daemon.says("Couldn't fetch network config: 100: Key not found")
    scene.operator.set("config", slide)
    daemon.says(
        "Couldn't fetch network config: invalid character '}' looking for beginning of object "
        "key string (line 2, column 30)"
    )
    assert daemon.stop() == 0
    assert state(scene.host) == before
    daemon.start()
    daemon.says("(line 2, column 30)", times=2)
    scene.operator.delete("config")
    scene.operator.set("config/below", "v")
    daemon.says(f"{scene.operator.prefix}/config is a directory, but has to be a key")
    scene.operator.delete("config", "?recursive=true")
    scene.operator.configure(**NETWORK)
    daemon.ready()
    assert daemon.stop(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (
            {"Network": "10.5.0.0/16", "Backend": {"Type": "nosuch"}},
            "Error fetching backend: unknown backend type: nosuch",
        ),
        (
            {"Network": "10.5.0.0/16", "Backend": {"Type": "vxlan", "VNI": "42"}},
            "error decoding VXLAN backend config: json: cannot unmarshal string into Go struct ",
        ),
        (
            {"Network": "10.5.0.0/28", "SubnetMax": "10.5.0.4", "Backend": {"Type": "vxlan"}},
            "out of subnets: all 30-bit subnets from 10.5.0.4 to 10.5.0.4 are leased",
        ),
        (
            {
                "Network": "172.17.8.0/22",
                "SubnetLen": 24,
                "SubnetMin": "172.17.8.0",
                "SubnetMax": "172.17.8.0",
                "Backend": {"Type": "vxlan"},
            },
            "(not with this host's own, or the store's, 172.17.8.101/24, 172.17.8.1/32)",
        ),
    ],
    ids=["unknown backend", "bad option", "out of subnets", "our own wire"],
)
def test_what_cannot_be_ends_with_1_and_leaves_nothing(
    scene: Scene, config: dict[str, object], complaint: str
) -> None:
    """No device, no rule, no lease, no file."""
    scene.operator.configure(**config)
    scene.operator.set("subnets/10.5.0.4-30", '{"PublicIP":"172.17.8.102"}', ttl=86400)
    before = state(scene.host)
    daemon = scene.daemon("-ip-masq").start()
    assert daemon.exits() == 1
    assert complaint in daemon.log()
    assert "Traceback" not in daemon.log()
    assert state(scene.host) == before
    assert list(scene.operator.subnets()) == ["10.5.0.4-30"]
    assert not daemon.subnet_path.exists()


def test_a_device_that_was_there_before_survives_a_failed_start(scene: Scene) -> None:
    """Only what this run made is removed."""
    scene.operator.configure(**NETWORK)
    daemon = scene.daemon().start().ready()
    mac = scene.host.json("link", "show", "flannel.1")[0]["address"]
    daemon.stop()
    scene.operator.delete("subnets", "?recursive=true")
    scene.operator.configure(
        Network="172.24.0.0/28", SubnetMax="172.24.0.4", Backend={"Type": "vxlan"}
    )
    scene.operator.set("subnets/172.24.0.4-30", '{"PublicIP":"172.17.8.102"}', ttl=86400)
    daemon.start()
    assert daemon.exits() == 1
    assert scene.host.json("link", "show", "flannel.1")[0]["address"] == mac


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["-iface=eth9"], 1, "no interface is named eth9"),
        (["-iface=lonely"], 1, "interface lonely has no IPv4 address"),
        (["-public-ip=x"], 1, "invalid public IP address: x (-public-ip must be an IPv4"),
        (["-etcd-certfile=/nowhere"], 1, "Failed to create SubnetManager: KeyFile and CertFile mu"),
        (["-etcd-endpoints=:x"], 1, "Failed to create SubnetManager: parse"),
        (["-etcd-endpoints=ftp://172.17.8.1:2379"], 1, "its scheme is ftp: -etcd-endpoints must "),
        (["-etcd-endpoints=http://172.17.8.1:99999"], 1, "its port is 99999: -etcd-endpoints m"),
        (["-etcd-endpoints=172.17.8.1:2379"], 1, "colon: -etcd-endpoints must be URLs with http"),
        (["-healthz-ip=9.9.9.9", "-healthz-port=8080"], 1, "cannot listen on 9.9.9.9:8080"),
        (["-listen=:8888"], 2, "-listen is not supported"),
    ],
)
def test_arguments_that_cannot_be(
    scene: Scene, arguments: list[str], code: int, complaint: str
) -> None:
    """Said at once, before the store is asked."""
    scene.host.ip("link", "add", "lonely", "type", "bridge")
    try:
        usual = [] if "-iface" in arguments[0] else ["-iface=eth1"]
        daemon = Daemon(scene.host, scene.directory, *usual, *arguments).start()
        assert daemon.exits() == code
        assert complaint in daemon.log()
        assert "Traceback" not in daemon.log()
    finally:
        scene.host.ip("link", "delete", "lonely")


@pytest.mark.parametrize("kind", ["vxlan", "udp", "host-gw"])
def test_no_rights(scene: Scene, kind: str) -> None:
    """A sentence with what was tried and what is missing."""
    scene.operator.configure(Network="172.24.0.0/16", Backend={"Type": kind})
    drop = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--")
    daemon = scene.daemon(prefix=drop).start()
    assert daemon.exits() == 1
    assert "operation not permitted (pyflanneld must run as root, or with CAP_NET_ADMIN)" in (
        daemon.log()
    )
    assert "Traceback" not in daemon.log()
    assert scene.operator.subnets() == {}


def test_host_gw_refuses_nat(scene: Scene) -> None:
    """A gateway must be on the wire."""
    scene.operator.configure(Network="172.24.0.0/16", Backend={"Type": "host-gw"})
    daemon = scene.daemon("-public-ip=192.0.2.7").start()
    assert daemon.exits() == 1
    assert "host-gw cannot work behind NAT: the public IP 192.0.2.7 is not" in daemon.log()


def test_a_port_that_is_taken(scene: Scene) -> None:
    """Two udp daemons on one host."""
    scene.operator.configure(Network="172.24.0.0/16", Backend={"Type": "udp"})
    first = scene.daemon().start().ready()
    scene.directory /= "second"
    scene.directory.mkdir()
    second = scene.daemon().start()
    assert second.exits() == 1
    assert "UDP socket 172.17.8.101:8285: address already in use (is another" in second.log()
    assert first.stop() == 0


def test_a_revoked_lease_ends_the_daemon_with_0(scene: Scene) -> None:
    """By hand, or by its end; the data path stays."""
    scene.operator.configure(**NETWORK)
    daemon = scene.daemon().start().ready()
    name = scene.operator.lease_of("172.17.8.101")
    scene.operator.delete(f"subnets/{name}")
    assert daemon.exits() == 0
    assert "Lease has been revoked. Shutting down daemon." in daemon.log()
    assert "Waiting for" not in daemon.log().partition("has been revoked")[2]
    assert "flannel.1" in scene.host.ip("link")
    daemon.start().ready()
    assert scene.operator.lease_of("172.17.8.101") == name  # from subnet.env
    scene.operator.set(f"subnets/{name}", "spoilt")
    daemon.says("has become unreadable: writing it anew")
    until(lambda: scene.operator.lease_of("172.17.8.101") == name, "it is written anew")
    value = scene.operator.subnets()[name]
    scene.operator.set(f"subnets/{name}", value, ttl=100)
    until(lambda: scene.operator.get(f"subnets/{name}").get("ttl", 0) > 86000, "it is renewed")
    scene.operator.set(f"subnets/{name}", value)
    daemon.says("is a reservation: it is not renewed")
    daemon.stop()
    daemon.subnet_path.unlink()
    daemon.start().ready()
    assert scene.operator.lease_of("172.17.8.101") == name  # by its public IP
    assert "ttl" not in scene.operator.get(f"subnets/{name}")
    scene.operator.set(f"subnets/{name}", "spoilt")
    until(lambda: scene.operator.subnets()[name] == value, "it is written anew")
    daemon.says("is a reservation: it is not renewed", times=3)
    assert "ttl: 0 s" not in daemon.log()
    daemon.stop()


def test_a_default_route_of_several_ways(scene: Scene) -> None:
    """The interface of the first one is used."""
    scene.operator.configure(**ALLOC)
    ways = ("nexthop", "via", "172.17.8.1", "nexthop", "via", "172.17.8.2")
    scene.host.ip("route", "replace", "default", *ways)
    place = (f"-etcd-endpoints={scene.store.url}", f"-etcd-prefix={scene.operator.prefix}")
    daemon = Daemon(scene.host, scene.directory, *place).start()
    try:
        daemon.ready()
    finally:
        scene.host.ip("route", "replace", "default", "via", "172.17.8.1")
    assert "Using interface with name eth1 and address 172.17.8.101" in daemon.log()
    assert daemon.stop() == 0


def test_two_daemons_with_one_public_ip(scene: Scene) -> None:
    """Vagrant's 10.0.2.15 on every host: they share a lease, and the first one says so."""
    scene.operator.configure(**NETWORK)
    first = scene.daemon("-public-ip=10.0.2.15").start().ready()
    second = scene.daemon("-public-ip=10.0.2.15", host=scene.other).start().ready()
    first.says(
        "Another flanneld has the public IP 10.0.2.15 of this host and overwrote the lease of "
    )
    assert len(scene.operator.subnets()) == 1
    assert (first.stop(), second.stop()) == (0, 0)


def test_a_copied_subnet_file_steals_and_both_say_so(scene: Scene) -> None:
    """As with flanneld; who loses never fights for it, not by starting again either."""
    scene.operator.configure(**ALLOC)
    first = scene.daemon().start().ready()
    second = scene.daemon(host=scene.other)
    second.subnet_path.parent.mkdir()
    second.subnet_path.write_text(first.subnet_path.read_text())
    second.start().ready()
    second.says("172.17.8.101 must not use it any more (was the subnet file copied?)")
    first.says("was taken over by 172.17.8.102: both hosts now use that subnet")
    (name,) = scene.operator.subnets()
    assert scene.operator.subnets()[name] == '{"PublicIP":"172.17.8.102"}'
    assert first.stop() == 0
    first.start().ready()
    assert scene.operator.subnets()[name] == '{"PublicIP":"172.17.8.102"}'
    assert scene.operator.lease_of("172.17.8.101") not in ("", name)
    assert (first.stop(), second.stop()) == (0, 0)


def test_a_subnet_leased_by_another_host_while_we_were_away(scene: Scene) -> None:
    """Our lease ended and another host got the subnet before we hear of anything: we end, and start
    with another subnet."""
    scene.operator.configure(**ALLOC)
    daemon = scene.daemon().start().ready()
    (name,) = scene.operator.subnets()
    daemon.process.send_signal(signal.SIGSTOP)
    scene.operator.delete(f"subnets/{name}")
    scene.operator.set(f"subnets/{name}", '{"PublicIP":"172.17.8.102"}', ttl=86400)
    daemon.process.send_signal(signal.SIGCONT)
    assert daemon.exits() == 0
    daemon.says("is that of 172.17.8.102 now")
    daemon.start().ready()
    assert scene.operator.subnets()[name] == '{"PublicIP":"172.17.8.102"}'
    assert scene.operator.lease_of("172.17.8.101") not in ("", name)
    assert daemon.stop() == 0


def test_a_subnet_given_back_is_written_down_again(scene: Scene) -> None:
    """Another host took it; the subnet file does not name it. The operator puts our value back."""
    scene.operator.configure(**ALLOC)
    daemon = scene.daemon().start().ready()
    whole = daemon.subnet_path.read_text()
    ((name, value),) = scene.operator.subnets().items()
    scene.operator.set(f"subnets/{name}", '{"PublicIP":"172.17.8.102"}', ttl=86400)
    without = "".join(line for line in whole.splitlines(True) if "FLANNEL_SUBNET" not in line)
    until(lambda: daemon.subnet_path.read_text() == without, "it is forgotten")
    scene.operator.set(f"subnets/{name}", value, ttl=86400)
    until(lambda: daemon.subnet_path.read_text() == whole, "it is known again")
    assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        ('{"PublicIP":"172.17.8.102"}', "was taken over by 172.17.8.102"),
        (
            '{"PublicIP":"172.17.8.101","BackendType":"udp"}',
            "Another flanneld has the public IP 172.17.8.101 of this host",
        ),
    ],
    ids=["another host", "another daemon with our public IP"],
)
def test_a_lost_subnet_whose_lease_becomes_unreadable(scene: Scene, owner: str, said: str) -> None:
    """Goal: it is not fought for. Method: another one's value, then one that is none, then ours,
    which is heard behind them."""
    scene.operator.configure(**ALLOC)
    daemon = scene.daemon().start().ready()
    ((name, value),) = scene.operator.subnets().items()
    scene.operator.set(f"subnets/{name}", owner, ttl=86400)
    daemon.says(said)
    index = scene.operator.set(f"subnets/{name}", "spoilt", ttl=86400)
    daemon.says("has become unreadable, and is another daemon's by now: it is left alone")
    last = scene.operator.set(f"subnets/{name}", value, ttl=86400)
    daemon.says("was written by somebody else")
    assert last == index + 1
    assert "writing it anew" not in daemon.log()
    assert daemon.stop() == 0


def test_a_store_that_hangs_is_waited_out(scene: Scene) -> None:
    """It takes connections and says nothing."""
    scene.operator.configure(**ALLOC)
    scene.store.process.send_signal(signal.SIGSTOP)
    daemon = scene.daemon().start()
    try:
        daemon.says("Couldn't fetch network config: client: etcd cluster is unavailable or mis")
    finally:
        scene.store.process.send_signal(signal.SIGCONT)
    daemon.ready()
    daemon.stop()


def test_rules_are_put_right_and_others_left_alone(scene: Scene) -> None:
    """In order; one removed, one doubled; Docker's stay where they are."""
    scene.operator.configure(**NETWORK)
    docker = ("-s", "172.18.0.0/16", "-j", "MASQUERADE")
    scene.host.run("iptables", "-t", "nat", "-A", "POSTROUTING", *docker)
    daemon = scene.daemon("-ip-masq", "-iptables-resync=1").start().ready()
    subnet = scene.operator.lease_of("172.17.8.101").replace("-", "/")
    n = "172.24.0.0/16"
    ours = [
        f"-s {n} -d {n} -j RETURN",
        f"-s {n} ! -d 224.0.0.0/4 -j MASQUERADE",
        f"! -s {n} -d {subnet} -j RETURN",
        f"! -s {n} -d {n} -j MASQUERADE",
    ]

    def rules(table: str, chain: str) -> list[str]:
        listing = scene.host.run("iptables", "-w", "-t", table, "-S", chain)
        start = f"-A {chain} "
        return [line.removeprefix(start) for line in listing.splitlines() if line.startswith(start)]

    expected = [" ".join(docker), *ours]
    forward = [f"-s {n} -j ACCEPT", f"-d {n} -j ACCEPT"]
    assert rules("nat", "POSTROUTING") == expected
    assert rules("filter", "FORWARD") == forward
    scene.host.run("iptables", "-w", "-t", "nat", "-D", "POSTROUTING", *ours[0].split())
    until(lambda: rules("nat", "POSTROUTING") == expected, "put right", deadline_s=20.0)
    scene.host.run("iptables", "-w", "-t", "nat", "-I", "POSTROUTING", *ours[3].split())
    until(lambda: rules("nat", "POSTROUTING") == expected, "put right", deadline_s=20.0)
    scene.host.run("iptables", "-w", "-F", "FORWARD")
    until(lambda: rules("filter", "FORWARD") == forward, "put right", deadline_s=20.0)
    daemon.stop()
    assert rules("nat", "POSTROUTING") == expected


def test_masquerade_rules_of_an_earlier_run(scene: Scene) -> None:
    """Another subnet has its own rule, and the old one's goes; without -ip-masq all four go, and
    Docker's stay."""
    scene.operator.configure(**ALLOC)
    docker = "-s 172.24.5.0/24 ! -o docker0 -j MASQUERADE"
    scene.host.run("iptables", "-t", "nat", "-A", "POSTROUTING", *docker.split())

    def rules() -> list[str]:
        listing = scene.host.run("iptables", "-w", "-t", "nat", "-S", "POSTROUTING").splitlines()
        return [line.removeprefix("-A POSTROUTING ") for line in listing if line[:2] == "-A"]

    daemon = scene.daemon("-ip-masq").start().ready()
    first, before = scene.operator.lease_of("172.17.8.101"), rules()
    assert len(before) == 5
    assert daemon.stop() == 0
    scene.operator.delete(f"subnets/{first}")
    daemon.subnet_path.unlink()
    scene.operator.set(f"subnets/{first}", '{"PublicIP":"172.17.8.109"}')
    daemon.start().ready()
    second = scene.operator.lease_of("172.17.8.101")
    assert rules() == [rule.replace(*(one.replace("-", "/") for one in (first, second)))
                       for rule in before]  # fmt: skip
    assert daemon.stop() == 0
    daemon.start("-ip-masq=false").ready()
    until(lambda: rules() == [docker], "they are gone", deadline_s=20.0)
    assert daemon.log().count("Deleting iptables rule: ") == 8
    assert daemon.stop() == 0


INTERRUPTER = """#!/bin/sh
/usr/sbin/$(basename $0) "$@"
status=$?
echo >> {calls}
[ $(wc -l < {calls}) = {step} ] && kill -TERM $PPID
exit $status
"""


def interrupted(scene: Scene, step: int, *arguments: str) -> Daemon:
    """A daemon that gets a signal when its step-th call of iptables is done."""
    calls = scene.directory / "calls"
    for name in ("iptables", "iptables-restore"):
        path = scene.directory / name
        path.write_text(INTERRUPTER.format(calls=calls, step=step))
        path.chmod(0o755)
    daemon = scene.daemon(*arguments).start(PATH=f"{scene.directory}:{os.environ['PATH']}")
    assert daemon.exits() == 0
    return daemon


@pytest.mark.parametrize("step", range(1, 5))
def test_a_signal_while_rules_are_put(scene: Scene, step: int) -> None:
    """Goal: a start that does not come to its end leaves no rule behind. Method: the signal after
    each step: each of two sets is listed and put."""
    scene.operator.configure(**NETWORK)
    before = state(scene.host)
    daemon = interrupted(scene, step, "-ip-masq")
    assert "Adding iptables rule" in daemon.log() or step == 1
    assert state(scene.host) == before
    assert "failed" not in daemon.log().lower()


@pytest.mark.parametrize("step", range(1, 4))
def test_a_signal_while_rules_of_an_earlier_run_are_put_right(scene: Scene, step: int) -> None:
    """Goal: what was there before such a start is there after it. Method: all of one set, which is
    listed only, and a part of the other, which is whole again if the signal came behind that."""
    scene.operator.configure(**NETWORK)
    first = scene.daemon("-ip-masq").start().ready()
    assert first.stop() == 0
    rule = ("-s", "172.24.0.0/16", "-d", "172.24.0.0/16", "-j", "RETURN")
    whole = state(scene.host)
    scene.host.run("iptables", "-t", "nat", "-D", "POSTROUTING", *rule)
    part = state(scene.host)
    scene.directory /= "second"
    scene.directory.mkdir()
    daemon = interrupted(scene, step, "-ip-masq")
    assert state(scene.host) == (part if step == 1 else whole), daemon.log()


@pytest.mark.parametrize("step", range(1, 4))
def test_a_signal_while_masquerade_rules_of_an_earlier_run_are_removed(
    scene: Scene, step: int
) -> None:
    """Goal: what a subnet file says of them is so: Docker goes by it. Method: -ip-masq, then a
    start without it and the signal after each call."""
    scene.operator.configure(**NETWORK)
    first = scene.daemon("-ip-masq").start().ready()
    assert first.stop() == 0

    def rules() -> str:
        return scene.host.run("iptables", "-w", "-t", "nat", "-S", "POSTROUTING")

    whole = rules()
    scene.directory /= "second"
    scene.directory.mkdir()
    daemon = interrupted(scene, step, f"-subnet-file={first.subnet_path}")
    assert rules() == whole or first.subnet_env()["FLANNEL_IPMASQ"] == "false", daemon.log()
    assert rules() == whole or step > 1
    assert rules() != whole or step < 3


def test_without_the_iptables_program(scene: Scene) -> None:
    """Said once; the network works all the same."""
    scene.operator.configure(**ALLOC)
    daemon = scene.daemon("-iptables-resync=1", prefix=("env", "PATH=/nowhere")).start().ready()
    daemon.says("cannot run iptables: no such file or directory (is it installed?)")
    daemon.stop()


def test_variables_and_health(scene: Scene) -> None:
    """Configured as Fedora and CoreOS do; /healthz answers."""
    scene.operator.configure(**ALLOC)
    daemon = Daemon(scene.host, scene.directory)
    daemon.start(
        FLANNEL_ETCD_ENDPOINTS=scene.store.url,
        FLANNEL_ETCD_PREFIX=scene.operator.prefix,
        FLANNEL_OPTIONS="--ip-masq=true --iface=eth1",
        FLANNELD_HEALTHZ_PORT="8099",
    ).ready()
    assert daemon.subnet_env()["FLANNEL_IPMASQ"] == "true"
    get = ("curl", "-s", "-w", " %{http_code}", "http://127.0.0.1:8099")
    assert scene.host.run(*get[:-1], f"{get[-1]}/healthz") == "flanneld is running 200"
    assert scene.host.run(*get[:-1], f"{get[-1]}/other") == " 404"
    daemon.stop()


SILENT = """
import socket
from urllib.request import urlopen
silent = [socket.create_connection(("127.0.0.1", 8099)) for _ in range(9)]
silent[0].send(b"GET /hea")
print(urlopen("http://127.0.0.1:8099/healthz").read(), flush=True)
for one in silent:
    one.recv(1)
"""


@pytest.mark.parametrize("is_told", [True, False], ids=["a signal", "a lost lease"])
def test_an_end_while_connections_to_healthz_are_open(scene: Scene, is_told: bool) -> None:
    """Goal: it goes without a traceback. Method: connections that ask nothing, or half of it, taken
    before one that is answered."""
    scene.operator.configure(**ALLOC)
    daemon = scene.daemon("-healthz-port=8099").start().ready()
    output = scene.directory / "silent"
    scene.host.start([sys.executable, "-c", SILENT], output)
    until(lambda: "flanneld is running" in output.read_text(), "the last one is answered")
    if is_told:
        assert daemon.stop() == 0
    else:
        scene.operator.delete(f"subnets/{scene.operator.lease_of(scene.host.address)}")
        assert daemon.exits() == 0
    assert [
        line for line in daemon.log().splitlines() if not re.match("[IWE][0-9]{4} ", line)
    ] == []


def test_the_subnet_file_cannot_be_written(scene: Scene) -> None:
    """A warning, as with flanneld."""
    scene.operator.configure(**ALLOC)
    daemon = scene.daemon("-subnet-file=/proc/nowhere/subnet.env").start().ready()
    expected = "Failed to write subnet file /proc/nowhere/subnet.env: no such file or directory"
    assert expected in daemon.log()
    daemon.stop()


def test_settings_are_read_once(scene: Scene) -> None:
    """A config that changes under a running daemon changes nothing."""
    scene.operator.configure(**ALLOC)
    daemon = scene.daemon().start().ready()
    before = daemon.subnet_path.read_text()
    scene.operator.set("config", json.dumps({"Network": "10.9.0.0/16"}))
    scene.operator.set("subnets/172.24.9.0-24", '{"PublicIP":"172.17.8.109"}', ttl=100)
    assert daemon.stop() == 0
    assert daemon.subnet_path.read_text() == before
