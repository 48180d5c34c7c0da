"""Goal: containers on different hosts reach each other, whatever happens to store and daemon.

Method: two hosts with a container each; full-sized packets are sent while things are broken.
"""

import errno
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.waiting import until
from tests.flannel.daemon import Daemon
from tests.flannel.hosts import Container, as_root, network
from tests.flannel.stores import Operator, WireStore

pytestmark = as_root

IP_AND_ICMP = 28
REACH_S = 20.0
BACKENDS: list[tuple[str, dict[str, object], int]] = [
    ("vxlan", {"Backend": {"Type": "vxlan"}}, 1450),
    ("host-gw", {"Backend": {"Type": "host-gw"}}, 1500),
    ("udp", {}, 1472),
]


class Scene:
    """Two hosts with daemons and containers."""

    def __init__(self, daemons: list[Daemon], containers: list[Container], store: WireStore,
                 operator: Operator) -> None:  # fmt: skip
        self.daemons = daemons
        self.one, self.two = containers
        self.store = store
        self.operator = operator

    @property
    def has_tun(self) -> bool:
        """Whether the daemon carries the packets."""
        return "flannel0" in self.daemons[1].host.ip("link")

    def is_whole(self) -> bool:
        """Both ways."""
        return self.one.reaches(self.two) and self.two.reaches(self.one)

    def becomes_whole(self) -> None:
        """In time."""
        until(self.is_whole, "the containers reach each other", deadline_s=REACH_S)


@pytest.fixture(params=BACKENDS, ids=[row[0] for row in BACKENDS])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """172.24.0.0/16 over each backend; vxlan's store is a real etcd."""
    name, backend, mtu = request.param
    with network(2) as (wire, hosts, contain):
        store = WireStore(wire, "etcd" if name == "vxlan" else "pyetcd", tmp_path).start()
        operator = store.operator()
        operator.configure(Network="172.24.0.0/16", **backend)
        arguments = (f"-etcd-endpoints={store.url}", f"-etcd-prefix={operator.prefix}")
        daemons = [
            Daemon(host, tmp_path, *arguments, "--iface=eth1", "--ip-masq=true").start()
            for host in hosts
        ]
        containers = []
        for daemon in daemons:
            daemon.ready()
            assert daemon.mtu == mtu
            bip = daemon.subnet_env()["FLANNEL_SUBNET"]
            daemon.host.run("iptables", "-P", "FORWARD", "DROP")  # as Docker does
            containers.append(contain(daemon.host, bip, daemon.mtu))
        scene = Scene(daemons, containers, store, operator)
        scene.becomes_whole()
        yield scene


def test_a_network_and_what_may_befall_it(scene: Scene) -> None:
    """Packet sizes and senders; then the store away and back, a daemon stopped while much is
    written, and (where the kernel carries the packets) a daemon killed."""
    one, two, daemon = scene.one, scene.two, scene.daemons[0]
    largest = daemon.mtu - IP_AND_ICMP
    assert one.reaches(two, size=largest)
    assert not one.reaches(two, size=largest + 1)
    assert "0% packet loss" in one.run("ping", "-c1", "-W2", "172.17.8.1", check=False)
    assert one.address in _seen_by(two, one)
    hops = 4 if scene.has_tun else 2  # each kernel is one, and so is each daemon
    assert f"ttl={64 - hops} " in one.run("ping", "-c1", "-W2", two.address, check=False)
    if scene.has_tun:
        assert _error_to_nowhere(one) == errno.ENETUNREACH

    scene.store.kill()
    assert scene.is_whole()
    daemon.says("Watch subnets: client: etcd cluster is unavailable or misconfigured")
    assert scene.is_whole()
    scene.store.start()
    value = scene.operator.subnets()[scene.operator.lease_of(scene.daemons[1].host.address)]
    value = re.sub(r'"VtepMAC":"[^"]*"', '"VtepMAC":"1a:a8:e4:76:ff:e8"', value)
    scene.operator.set("subnets/172.24.250.0-24", value.replace("8.102", "8.110"))
    daemon.says("Subnet added: 172.24.250.0/24 via 172.17.8.110")
    assert scene.is_whole()

    daemon.process.send_signal(signal.SIGSTOP)
    scene.operator.delete("subnets/172.24.250.0-24")
    scene.store.overrun(1200)
    scene.operator.set("subnets/172.24.251.0-24", value.replace("8.102", "8.111"))
    daemon.process.send_signal(signal.SIGCONT)
    daemon.says("Subnet removed: 172.24.250.0/24")
    daemon.says("Subnet added: 172.24.251.0/24 via 172.17.8.111")
    scene.becomes_whole()

    daemon.process.kill()
    daemon.process.wait()
    if not scene.has_tun:
        assert scene.is_whole()
    subnet = daemon.subnet_env()["FLANNEL_SUBNET"]
    daemon.start().ready()
    assert daemon.subnet_env()["FLANNEL_SUBNET"] == subnet
    scene.becomes_whole()


def _error_to_nowhere(client: Container) -> int:
    """What a program in the container gets that sends to a subnet nobody has."""
    program = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(10); "
        "s.setsockopt(socket.IPPROTO_IP, 11, 1); "  # IP_RECVERR: such errors are soft ones
        "s.connect(('172.24.255.9', 9)); s.send(b'x')\n"
        "try: s.recv(1)\n"
        "except OSError as error: print(error.errno)"
    )
    return int(client.run("python3", "-c", program))


def _seen_by(server: Container, client: Container) -> str:
    """Who the server sees when the client calls."""
    program = (
        "import socket; s = socket.create_server(('', 8080)); print('up', flush=True); "
        "print(s.accept()[1][0], flush=True)"
    )
    output = Path(f"/tmp/{server.name}")
    process = server.start(["python3", "-c", program], output)
    try:
        until(lambda: "up" in output.read_text(), "the server listens", deadline_s=REACH_S)
        client.run("python3", "-c", f"import socket; socket.create_connection(('{server.address}', 8080), 10)")  # noqa: E501  # fmt: skip
        process.wait(REACH_S)
        return output.read_text()
    finally:
        output.unlink()
