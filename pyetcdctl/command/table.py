"""The commands of etcdctl's v2 side, as data: parser, help texts and completion are made from it.

Laws: order, wording and flags are etcdctl 3.4.23's (contract/etcdctl.md, sections 2, 9 and 10).
`run` names the function, "module:function", that is imported when the command is run, not before.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pyetcdctl.command.flags import BOOL, DURATION, INT, TEXT, TEXTS, Flag

# What etcdctl says it is.
VERSION: Final = "3.4.23"
NAME: Final = "etcdctl"
_NEW_NAME: Final = "pyetcdctl"
ABOUT: Final = "A simple command line client for etcd."


class Command(NamedTuple):
    """A command, or a group of them."""

    name: str
    about: str
    run: str = ""
    operands: str = "[arguments...]"
    flags: tuple[Flag, ...] = ()
    description: str = ""
    group: tuple[Command, ...] = ()
    # Ours, and not etcdctl's: left out of the help text that scripts and people know.
    is_new: bool = False
    # It runs a command, which stands behind `--` and is told from the operands by it.
    is_wrapper: bool = False
    # Flags that etcdctl's command does not have: left out of its help text, too.
    more_flags: tuple[Flag, ...] = ()
    # Run instead for `-o yaml` and `-o table`, where these are no matter of one key's answer.
    run_formatted: str = ""


def called(*commands: Command) -> str:
    """How help texts call a command, behind its group if it has one; what is new is ours alone."""
    program = _NEW_NAME if any(command.is_new for command in commands) else NAME
    return " ".join([program, *(command.name for command in commands)])


GLOBAL: Final = (
    Flag(("debug",), BOOL, "output cURL commands which can be used to reproduce the request"),
    Flag(("no-sync",), BOOL, "don't synchronize cluster information before sending request"),
    Flag(
        ("output", "o"),
        TEXT,
        "output response in the given format (simple, `extended` or `json`)",
        default="simple",
        called="simple",
        shown='"simple"',
    ),
    Flag(
        ("discovery-srv", "D"),
        TEXT,
        "domain name to query for SRV records describing cluster endpoints",
    ),
    Flag(
        ("insecure-discovery",),
        BOOL,
        "accept insecure SRV records describing cluster endpoints",
    ),
    Flag(("peers", "C"), TEXT, 'DEPRECATED - "--endpoints" should be used instead'),
    Flag(("endpoint",), TEXT, 'DEPRECATED - "--endpoints" should be used instead'),
    Flag(
        ("endpoints",),
        TEXT,
        "a comma-delimited list of machine addresses in the cluster",
        shown='"http://127.0.0.1:2379,http://127.0.0.1:4001"',
    ),
    Flag(("cert-file",), TEXT, "identify HTTPS client using this SSL certificate file"),
    Flag(("key-file",), TEXT, "identify HTTPS client using this SSL key file"),
    Flag(("ca-file",), TEXT, "verify certificates of HTTPS-enabled servers using this CA bundle"),
    Flag(
        ("username", "u"),
        TEXT,
        "provide username[:password] and prompt if password is not supplied.",
    ),
    Flag(("timeout",), DURATION, "connection timeout per request", default=2.0, shown="2s"),
    Flag(
        ("total-timeout",),
        DURATION,
        "timeout for the command execution (except watch)",
        default=5.0,
        shown="5s",
    ),
)
VERSION_FLAG: Final = Flag(("version", "v"), BOOL, "print the version")

_TTL: Final = Flag(("ttl",), INT, "key time-to-live in seconds", shown="0")
_SORT: Final = Flag(("sort",), BOOL, "returns result in sorted order")
_QUORUM: Final = Flag(("quorum", "q"), BOOL, "require quorum for get request")
_AFTER: Final = Flag(("after-index",), INT, "watch after the given index", shown="0")
_ROLES: Final = (Flag(("roles",), TEXTS, "List of roles to grant or revoke"),)

_SET_DESCRIPTION: Final = """Set sets the value of a key.

   When <value> begins with '-', <value> is interpreted as a flag.
   Insert '--' for workaround:

   $ set -- <key> <value>"""


def _rights(path: str, read: str, write: str, both: str) -> tuple[Flag, ...]:
    return (
        Flag(("path",), TEXT, path),
        Flag(("read",), BOOL, read),
        Flag(("write",), BOOL, write),
        Flag(("readwrite", "rw"), BOOL, both),
    )


_GRANT: Final = _rights(
    "Path granted for the role to access",
    "Grant read-only access",
    "Grant write-only access",
    "Grant read-write access",
)
_REVOKE: Final = _rights(
    "Path revoked for the role to access",
    "Revoke read access",
    "Revoke write access",
    "Revoke read-write access",
)

COMMANDS: Final = (
    Command(
        "backup",
        "backup an etcd directory",
        "backup:backup",
        " ",
        (
            Flag(("data-dir",), TEXT, "Path to the etcd data dir"),
            Flag(("wal-dir",), TEXT, "Path to the etcd wal dir"),
            Flag(("backup-dir",), TEXT, "Path to the backup dir"),
            Flag(("backup-wal-dir",), TEXT, "Path to the backup wal dir"),
            Flag(("with-v3",), BOOL, "Backup v3 backend data"),
        ),
    ),
    Command(
        "cluster-health",
        "check the health of the etcd cluster",
        "health:cluster_health",
        " ",
        (Flag(("forever", "f"), BOOL, "forever check the health every 10 second until CTRL+C"),),
        run_formatted="formatted:cluster_health",
    ),
    Command(
        "mk",
        "make a new key with a given value",
        "keys:mk",
        "<key> <value>",
        (Flag(("in-order",), BOOL, "create in-order key under directory <key>"), _TTL),
    ),
    Command("mkdir", "make a new directory", "keys:mkdir", "<key>", (_TTL,)),
    Command(
        "rm",
        "remove a key or a directory",
        "keys:rm",
        "<key>",
        (
            Flag(("dir",), BOOL, "removes the key if it is an empty directory or a key-value pair"),
            Flag(
                ("recursive", "r"),
                BOOL,
                "removes the key and all child keys(if it is a directory)",
            ),
            Flag(("with-value",), TEXT, "previous value"),
            Flag(("with-index",), INT, "previous index", shown="0"),
        ),
    ),
    Command(
        "rmdir",
        "removes the key if it is an empty directory or a key-value pair",
        "keys:rmdir",
        "<key>",
    ),
    Command("get", "retrieve the value of a key", "keys:get", "<key>", (_SORT, _QUORUM)),
    Command(
        "ls",
        "retrieve a directory",
        "keys:ls",
        "[key]",
        (
            _SORT,
            Flag(("recursive", "r"), BOOL, "returns all key names recursively for the given path"),
            Flag(("p",), BOOL, "append slash (/) to directories"),
            _QUORUM,
        ),
        more_flags=(Flag(("tree",), BOOL, "draw the keys below as a tree"),),
    ),
    Command(
        "set",
        "set the value of a key",
        "keys:set_key",
        "<key> <value>",
        (
            _TTL,
            Flag(("swap-with-value",), TEXT, "previous value"),
            Flag(("swap-with-index",), INT, "previous index", shown="0"),
        ),
        _SET_DESCRIPTION,
    ),
    Command(
        "setdir",
        "create a new directory or update an existing directory TTL",
        "keys:setdir",
        "<key>",
        (_TTL,),
    ),
    Command(
        "update",
        "update an existing key with a given value",
        "keys:update",
        "<key> <value>",
        (_TTL,),
    ),
    Command(
        "updatedir", "update an existing directory", "keys:updatedir", "<key> <value>", (_TTL,)
    ),
    Command(
        "watch",
        "watch a key for changes",
        "watches:watch",
        "<key>",
        (
            Flag(("forever", "f"), BOOL, "forever watch a key until CTRL+C"),
            _AFTER,
            Flag(("recursive", "r"), BOOL, "returns all values for key and child keys"),
        ),
        more_flags=(
            Flag(
                ("format",),
                TEXT,
                "print each event so: {time}, {action}, {key}, {value}, {prev}, {index}, {ttl}",
            ),
            Flag(("timestamps",), BOOL, "put the time in front of each event"),
        ),
    ),
    Command(
        "exec-watch",
        "watch a key for changes and exec an executable",
        "watches:exec_watch",
        "<key> <command> [args...]",
        (_AFTER, Flag(("recursive", "r"), BOOL, "watch all values for key and child keys")),
    ),
    Command(
        "member",
        "member add, remove and list subcommands",
        group=(
            Command(
                "list",
                "enumerate existing cluster members",
                "members:list_members",
                " ",
                run_formatted="formatted:list_members",
            ),
            Command(
                "add",
                "add a new member to the etcd cluster",
                "members:add",
                "<name> <peerURL>",
            ),
            Command(
                "remove",
                "remove an existing member from the etcd cluster",
                "members:remove",
                "<memberID>",
            ),
            Command(
                "update",
                "update an existing member in the etcd cluster",
                "members:update",
                "<memberID> <peerURLs>",
            ),
        ),
    ),
    Command(
        "user",
        "user add, grant and revoke subcommands",
        group=(
            Command("add", "add a new user for the etcd cluster", "users:add", "<user>"),
            Command("get", "get details for a user", "users:get", "<user>"),
            Command("list", "list all current users", "users:list_users", "<user>"),
            Command("remove", "remove a user for the etcd cluster", "users:remove", "<user>"),
            Command("grant", "grant roles to an etcd user", "users:grant", "<user>", _ROLES),
            Command("revoke", "revoke roles for an etcd user", "users:revoke", "<user>", _ROLES),
            Command("passwd", "change password for a user", "users:passwd", "<user>"),
        ),
    ),
    Command(
        "role",
        "role add, grant and revoke subcommands",
        group=(
            Command("add", "add a new role for the etcd cluster", "roles:add", "<role> "),
            Command("get", "get details for a role", "roles:get", "<role>"),
            Command("list", "list all roles", "roles:list_roles", " "),
            Command("remove", "remove a role from the etcd cluster", "roles:remove", "<role>"),
            Command("grant", "grant path matches to an etcd role", "roles:grant", "<role>", _GRANT),
            Command(
                "revoke", "revoke path matches for an etcd role", "roles:revoke", "<role>", _REVOKE
            ),
        ),
    ),
    Command(
        "auth",
        "overall auth controls",
        group=(
            Command("enable", "enable auth access controls", "auth:enable", " "),
            Command("disable", "disable auth access controls", "auth:disable", " "),
        ),
    ),
)

# Shown in the list of commands; `help` is understood by the program itself.
HELP_LINE: Final = ("help, h", "Shows a list of commands or help for one command")
