"""The texts of `--help`, of a usage error and of `--version`, made from the option table."""

import os
import sys

from server.options.option import Option
from server.options.table import OPTIONS, treatment
from server.options.values import Kind
from server.version import ETCD_VERSION, __version__

USAGE = """\
Usage:

  pyetcd [flags]
    Start a server. It is also installed under the name etcd.

  pyetcd --version
    Show the version of etcd this server answers as, and its own.

  pyetcd -h | --help
    Show this help.

  pyetcd --config-file FILE
    Path to the server configuration file. Note that if a configuration file is provided, other \
command line flags and environment variables will be ignored.
"""

_EXAMPLES = """\
Every flag --some-name can be set as the environment variable ETCD_SOME_NAME or as the key
some-name in a YAML file given with --config-file. A flag wins over a variable.

Examples:
  One member for development, on http://127.0.0.1:2379:
    pyetcd --data-dir ./node1

  One member that other machines can reach:
    pyetcd --name node1 --data-dir /var/lib/etcd \\
      --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://10.0.0.1:2379

  The same from the environment, as service managers do it:
    ETCD_NAME=node1 ETCD_DATA_DIR=/var/lib/etcd pyetcd
"""


_NOTES = {
    "ignored": " Ignored.",
    "not yet": " Not supported yet.",
    "refused": " Not supported.",
    "without effect": " Without effect yet.",
}


def help_text() -> str:
    """All options by group, with defaults, and examples."""
    parts = [USAGE]
    groups = dict.fromkeys(option.group for option in OPTIONS)
    for group in groups:
        rows = "".join(_row(option) for option in OPTIONS if option.group == group)
        parts.append(f"{group}:\n{rows}")
    return "\n".join([*parts, _EXAMPLES])


def _row(option: Option) -> str:
    if option.kind in (Kind.IGNORED, Kind.ABOLISHED):
        return f"  --{option.name}\n    {option.help}\n"
    default = "${name}.etcd" if option.name == "data-dir" else option.default
    note = _NOTES.get(treatment(option), "")
    text = option.help if option.help == note.strip() else option.help + note
    return f"  --{option.name} '{default}'\n    {text}\n"


def version_text() -> str:
    """etcd's four lines, with our own version where etcd has its commit."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    return (
        f"etcd Version: {ETCD_VERSION}\n"
        f"pyetcd Version: {__version__}\n"
        f"Python Version: {sys.version.split()[0]}\n"
        f"Python OS/Arch: {sys.platform}/{machine}\n"
    )
