"""Goal: a vxlan device that was there before is kept, replaced or refused, never lost for nothing.

Method: the real program on a host that has such a device, and the fault that keeps it from its own.
"""

import os
import sys
from pathlib import Path

import pytest

from flannel import kernel
from tests.clients.waiting import until
from tests.flannel.hosts import Host, as_root
from tests.flannel.kernel_scene import MAC, ROUTE_200, ROUTE_203, Scene

pytestmark = as_root

HOLD = """
import socket, time
holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
holder.bind(("0.0.0.0", 8472))
time.sleep(600)
"""


INTERRUPT = """#!/bin/sh
{{ ip -4 address show flannel.1; ip route; ip neigh show dev flannel.1; }} > {during}
kill -TERM $PPID
"""
"""In the place of iptables, which is called when the device has been started."""


def device(host: Host) -> str:
    """All of flannel.1 that counts."""
    shown = host.ip("-4", "-d", "address", "show", "flannel.1").splitlines()
    return "\n".join(line for line in shown if "lft" not in line)


def add_device(host: Host, *more: str) -> None:
    """A flannel.1 of an earlier run, that is on."""
    host.ip("link", "add", "flannel.1", "type", "vxlan", "id", "1", "dev", "eth1",
            "local", host.address, "nolearning", *more)  # fmt: skip
    host.ip("address", "add", "172.24.9.0/32", "dev", "flannel.1")
    host.ip("link", "set", "flannel.1", "up")


def test_a_device_that_does_not_fit_serves_until_there_is_a_lease(scene: Scene) -> None:
    """No subnet is free: the daemon ends, and the device is as it was."""
    scene.host.ip("link", "add", "flannel.1", "type", "vxlan", "id", "1", "dstport", "4789",
                  "dev", "eth1", "local", "172.17.8.101")  # fmt: skip
    before = scene.host.ip("-d", "link", "show", "flannel.1")
    daemon = scene.daemon({"Type": "vxlan", "Port": 8472})
    scene.operator.configure(
        Network="172.24.0.0/16", SubnetMin="172.24.200.0", SubnetMax="172.24.200.0",
        Backend={"Type": "vxlan", "Port": 8472},
    )  # fmt: skip
    assert daemon.start().exits() == 1
    assert "out of subnets" in daemon.log()
    assert scene.host.ip("-d", "link", "show", "flannel.1") == before


@pytest.mark.parametrize("option", [{"Port": 4789}, {"Learning": True}], ids=["Port", "Learning"])
def test_an_option_that_is_not_asked_for_any_more(scene: Scene, option: dict[str, object]) -> None:
    """Goal: the device is what other hosts have by the same configuration. Method: the option, and
    the configuration without it."""
    daemon = scene.daemon({"Type": "vxlan", **option}).start().ready()
    assert f"dstport {option.get('Port', 8472)} " in device(scene.host)
    assert daemon.stop() == 0
    scene.operator.configure(Network="172.24.0.0/16", Backend={"Type": "vxlan"})
    daemon.start().ready()
    scene.has(ROUTE_200, ROUTE_203)
    assert "dstport 8472 nolearning" in device(scene.host)
    assert ("learning: False vs True" if "Learning" in option else "port: 8472 vs 4789") in (
        daemon.log()
    )
    assert daemon.stop() == 0


@pytest.mark.parametrize("option", [{}, {"Port": 0}, {"Port": 8472, "Learning": False}])
def test_a_device_of_flanneld_is_kept(scene: Scene, option: dict[str, object]) -> None:
    """Goal: other hosts go on to reach it by the MAC they have learnt. Method: one as flanneld 0.10
    makes it, by the kernel's own port."""
    add_device(scene.host)
    (before,) = scene.host.json("link", "show", "flannel.1")
    daemon = scene.daemon({"Type": "vxlan", **option}).start().ready()
    scene.has(ROUTE_200, ROUTE_203)
    (after,) = scene.host.json("link", "show", "flannel.1")
    assert [after[name] for name in ("ifindex", "address")] == (
        [before[name] for name in ("ifindex", "address")]
    )
    assert daemon.stop() == 0


def test_the_kernels_own_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a device without a Port is as the kernel would make it. Method: its module's parameter
    set to another port, not there, and not to be read."""
    parameter = tmp_path / "udp_port"
    monkeypatch.setattr(kernel, "VXLAN_PORT_PARAMETER", parameter)
    assert kernel.vxlan_port() == 8472
    parameter.write_text("4789\n")
    assert kernel.vxlan_port() == 4789
    parameter.write_text("0\n")
    assert kernel.vxlan_port() == 8472
    parameter.write_text("")
    assert kernel.vxlan_port() == 8472


WITH_PARAMETER = ("sh", "-c", f'mount --bind "$0" {kernel.VXLAN_PORT_PARAMETER} && exec "$@"')


def test_a_device_without_a_port_is_made_as_the_kernel_makes_it(scene: Scene) -> None:
    """Goal: the module that is loaded with it, by options of its own, is asked no sooner, so the
    next start keeps the device. Method: a parameter that says, before there is a device, what the
    kernel does not."""
    add_device(scene.host)  # the module is loaded, and the parameter is there
    scene.host.ip("link", "delete", "flannel.1")
    said = scene.directory / "udp_port"
    said.write_text("4789\n")
    scene.operator.configure(Network="172.24.0.0/16", Backend={"Type": "vxlan"})
    first = scene.second_daemon(prefix=(*WITH_PARAMETER, str(said))).start().ready()
    assert "dstport 8472 " in device(scene.host)
    (before,) = scene.host.json("link", "show", "flannel.1")
    assert first.stop() == 0
    scene.directory /= "second"
    scene.directory.mkdir()
    second = scene.second_daemon().start().ready()
    (after,) = scene.host.json("link", "show", "flannel.1")
    assert after["ifindex"] == before["ifindex"]
    assert second.stop() == 0


def test_a_replacement_whose_port_is_taken(scene: Scene) -> None:
    """The port is named, and the old device works on; when the port is free it is replaced."""
    add_device(scene.host, "dstport", "4789")
    before = device(scene.host)
    holder = scene.host.start([sys.executable, "-c", HOLD], scene.directory / "holder")
    until(lambda: ":8472" in scene.host.run("ss", "-lun"), "the port is taken")
    daemon = scene.daemon({"Type": "vxlan", "Port": 8472})
    assert daemon.start().exits() == 1
    assert "switching flannel.1 on: another program or device has the UDP port 8472" in daemon.log()
    assert device(scene.host) == before
    assert [one["ifname"] for one in scene.host.json("link")] == ["lo", "eth1", "flannel.1"]
    holder.kill()
    holder.wait()
    daemon.start().ready()
    assert "dstport 8472" in device(scene.host)
    scene.has(ROUTE_200, ROUTE_203)
    daemon.stop()


def test_a_device_of_another_kind(scene: Scene) -> None:
    """It is replaced like any that does not fit."""
    scene.host.ip("link", "add", "flannel.1", "type", "bridge")
    scene.host.ip("link", "set", "flannel.1", "up")
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    assert "incompatible configuration: link type: vxlan vs bridge" in daemon.log()
    assert "vxlan id 1 " in device(scene.host)
    scene.has(ROUTE_200, ROUTE_203)
    daemon.stop()


def test_what_a_run_that_was_killed_while_replacing_left(scene: Scene) -> None:
    """The new device under its first name, and the old one gone already: it does not stay."""
    scene.host.ip("link", "add", "flannel-1", "type", "vxlan", "id", "1", "dev", "eth1",
                  "local", scene.host.address, "nolearning", "dstport", "8472")  # fmt: skip
    daemon = scene.daemon({"Type": "vxlan"}).start().ready()
    assert [one["ifname"] for one in scene.host.json("link")] == ["lo", "eth1", "flannel.1"]
    daemon.stop()


def test_a_replacement_with_the_same_port(scene: Scene) -> None:
    """The kernel lets no two of them share it: the old one goes first."""
    add_device(scene.host, "dstport", "8472", "gbp")
    daemon = scene.daemon({"Type": "vxlan", "Port": 8472}).start().ready()
    assert "gbp" not in device(scene.host)
    scene.has(ROUTE_200, ROUTE_203)
    daemon.stop()


def test_a_kept_device_after_a_failed_start_is_as_it_was(scene: Scene) -> None:
    """MTU, address, on or off: the port of the device, which is off, is taken."""
    add_device(scene.host, "dstport", "8472")
    scene.host.ip("link", "set", "flannel.1", "down", "mtu", "1300")
    before = device(scene.host)
    holder = scene.host.start([sys.executable, "-c", HOLD], scene.directory / "holder")
    until(lambda: ":8472" in scene.host.run("ss", "-lun"), "the port is taken")
    daemon = scene.daemon({"Type": "vxlan"})
    assert daemon.start().exits() == 1
    holder.kill()
    holder.wait()
    assert "another program or device has the UDP port 8472" in daemon.log()
    assert device(scene.host) == before


def test_a_kept_device_through_an_interrupted_start(scene: Scene) -> None:
    """Goal: containers are reached during and after it: a device that is without an address for a
    moment loses its routes and ARP entries. Method: a subnet that is not the device's; a signal
    when that has been put on the device."""
    add_device(scene.host)
    scene.host.ip("route", "add", *ROUTE_200.split())
    scene.host.ip("neigh", "add", "172.24.200.0", "lladdr", MAC, "dev", "flannel.1")
    before = device(scene.host), scene.routes(), scene.arp()
    assert before[1:] == ([ROUTE_200], [f"172.24.200.0 lladdr {MAC} PERMANENT"])
    during = scene.directory / "during"
    path = scene.directory / "iptables"
    path.write_text(INTERRUPT.format(during=during))
    path.chmod(0o755)
    daemon = scene.daemon({"Type": "vxlan"})
    scene.operator.configure(
        Network="172.24.0.0/16", SubnetMin="172.24.10.0", Backend={"Type": "vxlan"}
    )
    assert daemon.start(PATH=f"{scene.directory}:{os.environ['PATH']}").exits() == 0
    own = scene.operator.lease_of(scene.host.address).partition("-")[0]
    seen = during.read_text()
    assert [line.split()[1] for line in seen.splitlines() if " inet " in line] == [f"{own}/32"]
    assert ROUTE_200 in seen
    assert f"172.24.200.0 lladdr {MAC} PERMANENT" in seen
    assert (device(scene.host), scene.routes(), scene.arp()) == before


def test_vxlan_whose_vni_is_taken(scene: Scene) -> None:
    """Who has it is said, and nothing is leased or left behind."""
    scene.host.ip("link", "add", "other", "type", "vxlan", "id", "1", "dstport", "8472",
                  "dev", "eth1")  # fmt: skip
    try:
        daemon = scene.daemon({"Type": "vxlan"}).start()
        assert daemon.exits() == 1
    finally:
        scene.host.ip("link", "delete", "other")
    assert "making vxlan device flannel.1: file exists: other has the VNI 1 already" in daemon.log()
    assert not scene.operator.lease_of(scene.host.address)
    scene.has()


def test_vxlan_options_and_a_device_that_does_not_fit(scene: Scene) -> None:
    """VNI, Port and GBP; a device of that name with another port is made anew, an address of an
    older subnet replaced."""
    scene.host.ip("link", "add", "flannel.7", "type", "vxlan", "id", "7", "dstport", "4789",
                  "dev", "eth1", "local", "172.17.8.101")  # fmt: skip
    scene.host.ip("address", "add", "172.24.9.0/32", "dev", "flannel.7")
    options: dict[str, object] = {"Type": "vxlan", "VNI": 7, "Port": 8473, "GBP": True}
    daemon = scene.daemon(options).start().ready()
    device = scene.host.ip("-d", "address", "show", "flannel.7")
    assert "vxlan id 7 local 172.17.8.101 dev eth1 srcport 0 0 dstport 8473 nolearning" in device
    assert " gbp " in device
    assert device.count("inet ") == 1
    assert "already exists with incompatible configuration: port: 8473 vs 4789" in daemon.log()
    daemon.stop()
