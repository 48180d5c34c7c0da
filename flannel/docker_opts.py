"""`pyflannel-docker-opts`: what Docker must be told so that its bridge has our subnet.

Takes mk-docker-opts.sh's options and writes its files, in both dialects:

    -k DOCKER_NETWORK_OPTIONS -d /run/flannel/docker         Atomic: single options and all in one
    -i -d /run/flannel/flannel_docker_opts.env               CoreOS: single options

Whoever masquerades, the other must not: FLANNEL_IPMASQ=true is Docker's --ip-masq=false.

Laws: the input is read, never run; what it does not say may come from the environment, as in the
script. The output is replaced whole; what a link leads to, a device or a pipe is written to. Exit
code 1 for anything wrong, with a sentence on stderr.
"""

import getopt
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

from flannel import env_file
from flannel.ip import MTU_MIN

FLANNEL_ENV = Path("/run/flannel/subnet.env")
DOCKER_ENV = Path("/run/docker_opts.env")
KEY = "DOCKER_OPTS"
MARK = "DOCKER_OPT_"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGITS = re.compile(r"[0-9]{1,5}")
_SUBNET = re.compile(r"[0-9.]+/[0-9]{1,2}")
MTU_MAX = 65535
"""The longest packet there is, bytes."""
MASQUERADE = {"true": "--ip-masq=false", "false": "--ip-masq=true"}
USAGE = """{program} [-f FLANNEL-ENV-FILE] [-d DOCKER-ENV-FILE] [-i] [-c] [-m] [-k COMBINED-KEY]

Generate Docker daemon options based on flannel env file
OPTIONS:
\t-f\tPath to flannel env file. Defaults to /run/flannel/subnet.env
\t-d\tPath to Docker env file to write to. Defaults to /run/docker_opts.env
\t-i\tOutput each Docker option as individual var. e.g. DOCKER_OPT_MTU=1500
\t-c\tOutput combined Docker options into DOCKER_OPTS var
\t-k\tSet the combined options key to this value (default DOCKER_OPTS=)
\t-m\tDo not output --ip-masq (useful for older Docker version)
"""


class BadInput(Exception):
    """The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Request:
    """The command line."""

    flannel_env: Path
    docker_env: Path
    individual: bool
    combined: bool
    key: str
    ip_masq: bool


def main() -> None:
    """Write the file."""
    sys.exit(run(sys.argv, os.environ))


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The exit code."""
    try:
        request = parse(arguments[1:])
    except getopt.GetoptError as error:
        said = "" if error.opt in ("h", "?") else f"{error}\n"
        sys.stderr.write(said + USAGE.format(program=arguments[0]))
        return 1
    try:
        env_file.check(request.flannel_env, "-f")
        given = {**environ, **env_file.read(request.flannel_env)}
        text = render(request, given)
        env_file.write(request.docker_env, text, through_links=True)
    except (BadInput, env_file.NotAFile) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except env_file.BadLine as error:
        sys.stderr.write(f"{request.flannel_env}: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {(error.strerror or str(error)).lower()}\n")
        return 1
    return 0


def parse(arguments: Sequence[str]) -> Request:
    """The command line; raises GetoptError."""
    options, _ = getopt.getopt(list(arguments), "f:d:ick:m")
    given = dict(options)
    individual, combined = "-i" in given, "-c" in given
    neither = not individual and not combined
    return Request(
        Path(given.get("-f", FLANNEL_ENV)),
        Path(given.get("-d", DOCKER_ENV)),
        individual or neither,
        combined or neither,
        given.get("-k", KEY),
        "-m" not in given,
    )


def render(request: Request, given: Mapping[str, str]) -> str:
    """The file's text; raises BadInput."""
    if not _NAME.fullmatch(request.key):
        raise BadInput(f"-k must be the name of a variable such as {KEY}, not {request.key!r}")
    options = {name: value for name, value in given.items() if name.startswith(MARK)}
    if subnet := given.get("FLANNEL_SUBNET"):
        _check_subnet(subnet)
        options[f"{MARK}BIP"] = f"--bip={subnet}"
    if mtu := given.get("FLANNEL_MTU"):
        if not (_DIGITS.fullmatch(mtu) and MTU_MIN <= int(mtu) <= MTU_MAX):
            raise BadInput(
                f"Invalid value of FLANNEL_MTU: {mtu} (must be {MTU_MIN}..{MTU_MAX} bytes)"
            )
        options[f"{MARK}MTU"] = f"--mtu={mtu}"
    if (ip_masq := given.get("FLANNEL_IPMASQ")) and request.ip_masq:
        if ip_masq not in MASQUERADE:
            raise BadInput(f"Invalid value of FLANNEL_IPMASQ: {ip_masq} (must be true or false)")
        options[f"{MARK}IPMASQ"] = MASQUERADE[ip_masq]
    ordered = sorted(options.items())
    lines = [f'{name}="{value}"' for name, value in ordered] if request.individual else []
    if request.combined:
        before = given.get(request.key, "")
        start = f"{before} " if before else ""
        lines.append(f'{request.key}="{start}{"".join(f" {value}" for _, value in ordered)}"')
    return "".join(f"{line}\n" for line in lines)


def _check_subnet(text: str) -> None:
    try:
        if not _SUBNET.fullmatch(text):
            raise ValueError(text)
        IPv4Interface(text)
    except ValueError:
        raise BadInput(
            f"Invalid value of FLANNEL_SUBNET: {text} (must be such as 10.1.15.1/24)"
        ) from None
