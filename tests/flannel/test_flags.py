"""Goal: flags and variables mean what they mean to flanneld. Method: one case per rule."""

import pytest

from flannel import flags
from flannel.main import run


def test_defaults() -> None:
    """Those of flanneld v0.10."""
    options = flags.load([], {})
    assert options.endpoints == ("http://127.0.0.1:4001", "http://127.0.0.1:2379")
    assert options.etcd_prefix == "/coreos.com/network"
    assert options.subnet_file == "/run/flannel/subnet.env"
    assert options.subnet_lease_renew_margin == 60
    assert not options.ip_masq
    assert options.iptables_forward_rules
    assert (options.healthz_ip, options.healthz_port) == ("0.0.0.0", 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-ip-masq", "-iface=eth1", "-iface", "eth0"],
        ["--ip-masq=true", "--iface", "eth1", "--iface=eth0"],
        ["-ip-masq=T", "-iface=eth1", "-iface=eth0", "--", "-bad"],
    ],
)
def test_gos_dialect(arguments: list[str]) -> None:
    """One dash or two, value behind `=` or as the next word, bools without one."""
    options = flags.load(arguments, {})
    assert options.ip_masq
    assert options.iface == ("eth1", "eth0")


def test_the_environment_is_behind_the_command_line() -> None:
    """And an empty variable counts as unset."""
    environ = {
        "FLANNELD_ETCD_ENDPOINTS": "http://a:1,http://b:2",
        "FLANNELD_IP_MASQ": "true",
        "FLANNELD_IFACE": "eth1",
        "FLANNELD_ETCD_PREFIX": "",
        "FLANNELD_SUBNET_LEASE_RENEW_MARGIN": "30",
    }
    options = flags.load(["-iface=eth9"], environ)
    assert options.endpoints == ("http://a:1", "http://b:2")
    assert options.ip_masq
    assert options.iface == ("eth9",)
    assert options.etcd_prefix == "/coreos.com/network"
    assert options.subnet_lease_renew_margin == 30


def test_fedoras_file_is_honoured() -> None:
    """The talk's /etc/sysconfig/flanneld; older names; the command line still wins."""
    talk = {
        "FLANNEL_ETCD_ENDPOINTS": "http://127.0.0.1:2379",
        "FLANNEL_ETCD_PREFIX": "/atomic.io/network",
        "FLANNEL_OPTIONS": "--ip-masq=true --iface=eth1",
    }
    options = flags.load([], talk)
    assert options.endpoints == ("http://127.0.0.1:2379",)
    assert options.etcd_prefix == "/atomic.io/network"
    assert options.ip_masq
    assert options.iface == ("eth1",)
    older = {"FLANNEL_ETCD": "http://c:3", "FLANNEL_ETCD_KEY": "/flannel/network"}
    options = flags.load(["-etcd-endpoints=http://d:4"], older)
    assert options.endpoints == ("http://d:4",)
    assert options.etcd_prefix == "/flannel/network"
    assert flags.load([], older | {"FLANNEL_ETCD_KEY": ""}).etcd_prefix == "/coreos.com/network"


def test_defaults_of_what_is_not_there() -> None:
    """Spelled out, they ask for nothing; a variable behind such a flag is not looked at."""
    arguments = ["-kube-subnet-mgr=false", "-listen", "", "-remote=", "--networks=",
                 "-watch-networks=false", "-iface=eth1"]  # fmt: skip
    assert flags.load(arguments, {"FLANNELD_LISTEN": ":1"}).iface == ("eth1",)
    environ = {"FLANNELD_KUBE_SUBNET_MGR": "false", "FLANNELD_NETWORKS": ""}
    assert flags.load([], environ) == flags.load([], {})


@pytest.mark.parametrize(
    ("arguments", "environ", "complaint"),
    [
        (["-nosuch"], {}, "flag provided but not defined: -nosuch"),
        (["-kube-subnet-mgr"], {}, "-kube-subnet-mgr is not supported: subnets are leased from an"),
        (["-networks=a,b"], {}, "-networks is not supported: one daemon serves one network"),
        ([], {"FLANNELD_NETWORKS": "a,b"}, "FLANNELD_NETWORKS: -networks is not supported: one"),
        ([], {"FLANNELD_REMOTE": "h:1"}, "FLANNELD_REMOTE: -remote is not supported: the client"),
        ([], {"FLANNELD_LISTEN": ":1"}, "FLANNELD_LISTEN: -listen is not supported: the server"),
        (
            ["-listen="],
            {"FLANNELD_KUBE_SUBNET_MGR": "true"},
            "FLANNELD_KUBE_SUBNET_MGR: -kube-subnet-mgr is not supported: subnets are leased",
        ),
        (["-kube-subnet-mgr=x"], {}, 'invalid boolean value "x" for -kube-subnet-mgr'),
        (["-iface"], {}, "flag needs an argument: -iface"),
        (["-ip-masq=maybe"], {}, 'invalid boolean value "maybe" for -ip-masq: use true or false'),
        (["-healthz-port=x"], {}, 'invalid value "x" for flag -healthz-port: it must be a number'),
        (["-healthz-port=70000"], {}, "-healthz-port must be 0..65535, not 70000"),
        (["true"], {}, "unexpected argument: true"),
        (["---x"], {}, "bad flag syntax: ---x"),
        (["-etcd-endpoints="], {}, "-etcd-endpoints is empty: give at least one URL"),
        ([], {"FLANNELD_IP_MASQ": "x"}, 'FLANNELD_IP_MASQ: invalid boolean value "x" for -ip-masq'),
        (["-v", "9" * 5000], {}, 'invalid value "999'),
        ([], {"FLANNEL_OPTIONS": "'"}, "FLANNEL_OPTIONS cannot be split into words"),
    ],
)
def test_bad_flags(arguments: list[str], environ: dict[str, str], complaint: str) -> None:
    """Flag, value, what is allowed."""
    with pytest.raises(flags.FlagError) as caught:
        flags.load(arguments, environ)
    assert str(caught.value).startswith(complaint)


def test_exit_codes_before_anything_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    """2 for a bad flag, 0 for -version and -help, 1 for a margin out of range."""
    assert run(["pyflanneld", "-nosuch"]) == 2
    assert capsys.readouterr().err.startswith("flag provided but not defined: -nosuch\nUsage: pyf")
    assert run(["pyflanneld", "-version"]) == 0
    assert run(["pyflanneld", "-help"]) == 0
    assert "-subnet-lease-renew-margin" in capsys.readouterr().err
    for minutes in ("0", "1440"):
        assert run(["pyflanneld", f"-subnet-lease-renew-margin={minutes}"]) == 1
        assert "Invalid subnet-lease-renew-margin option, out of acc" in capsys.readouterr().err
