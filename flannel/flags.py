"""The daemon's flags: Go's dialect, the environment, and what packages put into /etc/sysconfig.

    -name value, -name=value, --name=value; a bool is `-name` or `-name=false`; `--` ends them.

A flag's value comes from the first of: the command line, `FLANNELD_` + its name in upper case with
underscores (empty counts as unset), the default. Fedora's `/etc/sysconfig/flanneld` is honoured as
its wrapper does, by putting in front of the command line: `-etcd-endpoints` from
FLANNEL_ETCD_ENDPOINTS (older: FLANNEL_ETCD), `-etcd-prefix` from FLANNEL_ETCD_PREFIX (older:
FLANNEL_ETCD_KEY), and the words of FLANNEL_OPTIONS.

Laws: pure; one table of flags; what is wrong is said with the flag, the value and what is allowed.
A flag of another flannel is refused wherever it comes from, unless it says what is so anyway.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from golang import booleans

ENVIRONMENT_PREFIX = "FLANNELD_"
MARGIN_MIN, MARGIN_MAX = 1, 24 * 60 - 1
PORT_MAX = 65535
DIGITS_MAX = 18


class FlagError(Exception):
    """A bad flag; the message says which."""


class HelpWanted(Exception):
    """-help was given."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One row of the table."""

    name: str
    default: str | int | bool | tuple[str, ...]
    usage: str

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return ENVIRONMENT_PREFIX + self.name.upper().replace("-", "_")

    @property
    def attribute(self) -> str:
        """Its name in Options."""
        return self.name.replace("-", "_")


FLAGS = (
    Flag(
        "etcd-endpoints",
        "http://127.0.0.1:4001,http://127.0.0.1:2379",
        "a comma-delimited list of etcd endpoints",
    ),
    Flag("etcd-prefix", "/coreos.com/network", "etcd prefix"),
    Flag("etcd-keyfile", "", "SSL key file used to secure etcd communication"),
    Flag("etcd-certfile", "", "SSL certification file used to secure etcd communication"),
    Flag("etcd-cafile", "", "SSL Certificate Authority file used to secure etcd communication"),
    Flag("etcd-username", "", "username for BasicAuth to etcd"),
    Flag("etcd-password", "", "password for BasicAuth to etcd"),
    Flag(
        "iface",
        (),
        "interface to use (IP or name) for inter-host communication; the first that resolves wins",
    ),
    Flag(
        "iface-regex",
        (),
        "regex to match the first interface to use (IP or name), looked at after -iface",
    ),
    Flag("public-ip", "", "IP accessible by other nodes for inter-host communication"),
    Flag(
        "ip-masq", False, "setup IP masquerade rule for traffic destined outside of overlay network"
    ),
    Flag(
        "subnet-file",
        "/run/flannel/subnet.env",
        "filename where env variables (subnet, MTU, ... ) will be written to",
    ),
    Flag(
        "subnet-lease-renew-margin",
        60,
        "subnet lease renewal margin, in minutes, ranging from 1 to 1439",
    ),
    Flag("iptables-resync", 5, "resync period for iptables rules, in seconds"),
    Flag("iptables-forward-rules", True, "add default accept rules to FORWARD chain in iptables"),
    Flag("healthz-ip", "0.0.0.0", "the IP address for healthz server to listen"),
    Flag("healthz-port", 0, "the port for healthz server to listen (0 to disable)"),
    Flag("v", 0, "log level for V logs"),
    Flag("vmodule", "", "accepted and without effect"),
    Flag("log-backtrace-at", "", "accepted and without effect"),
    Flag("version", False, "print version and exit"),
)
_BY_NAME = {flag.name: flag for flag in FLAGS} | {"log_backtrace_at": FLAGS[-2]}
UNSUPPORTED = (
    Flag("kube-subnet-mgr", False, "subnets are leased from an etcd v2 store only"),
    Flag(
        "listen",
        "",
        "the server mode of flannel 0.5 to 0.7 is not there; point daemons at the store",
    ),
    Flag("remote", "", "the client mode of flannel 0.5 to 0.7 is not there; use -etcd-endpoints"),
    Flag(
        "networks",
        "",
        "one daemon serves one network; start one for each with its own -etcd-prefix",
    ),
    Flag("watch-networks", False, "one daemon serves one network; start one for each"),
)
"""Flags of other flannels, with the reason in the usage's place: only their defaults are taken."""
_BY_NAME |= {flag.name: flag for flag in UNSUPPORTED}


@dataclass(frozen=True, slots=True)
class Options:
    """The values of all flags."""

    etcd_endpoints: str
    etcd_prefix: str
    etcd_keyfile: str
    etcd_certfile: str
    etcd_cafile: str
    etcd_username: str
    etcd_password: str
    iface: tuple[str, ...]
    iface_regex: tuple[str, ...]
    public_ip: str
    ip_masq: bool
    subnet_file: str
    subnet_lease_renew_margin: int
    """Minutes."""
    iptables_resync: int
    """Seconds."""
    iptables_forward_rules: bool
    healthz_ip: str
    healthz_port: int
    v: int
    version: bool

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The store's URLs."""
        return tuple(part.strip() for part in self.etcd_endpoints.split(",") if part.strip())

    @property
    def subnet_path(self) -> Path:
        """Where subnet.env is."""
        return Path(self.subnet_file)


def load(arguments: Sequence[str], environ: Mapping[str, str]) -> Options:
    """The options; raises FlagError, HelpWanted."""
    try:
        packaged = _packaged(environ)
    except ValueError as error:
        raise FlagError(f"FLANNEL_OPTIONS cannot be split into words: {error}") from None
    given = _parse([*packaged, *arguments])
    for flag in (*FLAGS, *UNSUPPORTED):
        text = environ.get(flag.variable, "")
        if text and flag.name not in given:
            try:
                given[flag.name] = _value(flag, text, ())
            except FlagError as error:
                raise FlagError(f"{flag.variable}: {error}") from None
    values = {flag.attribute: given.get(flag.name, flag.default) for flag in FLAGS}
    wanted = {field.name for field in fields(Options)}
    options = Options(**{name: value for name, value in values.items() if name in wanted})  # type: ignore[arg-type]
    _check(options)
    return options


def usage(program: str) -> str:
    """The help text."""
    lines = [f"Usage: {program} [OPTION]..."]
    for flag in FLAGS:
        default = "true" if flag.default is True else flag.default
        shown = "" if flag.default in ("", (), False) else f" (default {default})"
        lines += [f"  -{flag.name}", f"    \t{flag.usage}{shown}"]
    lines += ["", f"Each can be a variable too, such as {FLAGS[0].variable} for -{FLAGS[0].name}."]
    return "\n".join(lines) + "\n"


def _packaged(environ: Mapping[str, str]) -> list[str]:
    """What Fedora's wrapper makes of /etc/sysconfig/flanneld."""
    arguments = []
    for name, *variables in (
        ("etcd-endpoints", "FLANNEL_ETCD_ENDPOINTS", "FLANNEL_ETCD"),
        ("etcd-prefix", "FLANNEL_ETCD_PREFIX", "FLANNEL_ETCD_KEY"),
    ):
        value = next((environ[one] for one in variables if environ.get(one)), "")
        if value:
            arguments.append(f"-{name}={value}")
    return arguments + shlex.split(environ.get("FLANNEL_OPTIONS", ""))


def _parse(arguments: Sequence[str]) -> dict[str, str | int | bool | tuple[str, ...]]:
    given: dict[str, str | int | bool | tuple[str, ...]] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            break
        if not word.startswith("-") or word == "-":
            raise FlagError(f"unexpected argument: {word}")
        name, has_value, text = word.removeprefix("-").removeprefix("-").partition("=")
        if not name or name.startswith("-"):
            raise FlagError(f"bad flag syntax: {word}")
        if name in ("h", "help"):
            raise HelpWanted
        flag = _BY_NAME.get(name)
        if flag is None:
            raise FlagError(f"flag provided but not defined: -{name}")
        if not has_value:
            if isinstance(flag.default, bool):
                text = "true"
            elif words:
                text = words.pop(0)
            else:
                raise FlagError(f"flag needs an argument: -{name}")
        given[flag.name] = _value(flag, text, given.get(flag.name, ()))
    return given


def _value(
    flag: Flag, text: str, before: str | int | bool | tuple[str, ...]
) -> str | int | bool | tuple[str, ...]:
    value = _read(flag, text, before)
    if flag in UNSUPPORTED and value != flag.default:
        raise FlagError(f"-{flag.name} is not supported: {flag.usage}")
    return value


def _read(
    flag: Flag, text: str, before: str | int | bool | tuple[str, ...]
) -> str | int | bool | tuple[str, ...]:
    if isinstance(flag.default, bool):
        if text not in booleans.TRUE | booleans.FALSE:
            raise FlagError(f'invalid boolean value "{text}" for -{flag.name}: use true or false')
        return text in booleans.TRUE
    if isinstance(flag.default, int):
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX):
            raise FlagError(f'invalid value "{text}" for flag -{flag.name}: it must be a number')
        return int(text)
    if isinstance(flag.default, tuple):
        return (*before, text) if isinstance(before, tuple) else (text,)
    return text


def _check(options: Options) -> None:
    if not options.endpoints:
        raise FlagError("-etcd-endpoints is empty: give at least one URL")
    if not 0 <= options.healthz_port <= PORT_MAX:
        raise FlagError(f"-healthz-port must be 0..{PORT_MAX}, not {options.healthz_port}")
    if options.iptables_resync < 1:
        raise FlagError(f"-iptables-resync must be at least 1 s, not {options.iptables_resync}")
