"""Flags of new commands, and new flags of old ones: they mean the same wherever they stand."""

import json
from pathlib import Path

import pytest

from pyetcdctl import Client
from tests.clients.reachable import reachable
from tests.oracle import Pyetcd
from tests.pyetcdctl.running import run

NOWHERE = "http://127.0.0.1:1"


def test_a_boolean_takes_no_word(client: Client, url: str, place: str, tmp_path: Path) -> None:
    """Goal: a word behind a flag that is on or off is an operand, and what follows is not lost.
    Method: such a flag in front, the operand, another flag; dump and load.
    """
    client.set(f"{place}/a", "1")
    path = tmp_path / "out"
    said = run(url, "dump", "--yaml", place, "-f", str(path))
    assert (said.code, said.err) == (0, f"dumped 1 key and 1 directory to {path}\n")
    assert path.read_text().startswith("pyetcdctl-dump: 1\n")
    said = run(url, "load", "--replace", str(path), "--prefix", f"{place}_copy")
    assert (said.code, said.err) == (0, "loaded 1 key and 1 directory\n")
    assert client.get(f"{place}_copy/a").node.value == "1"


def test_a_mirror_in_any_order(client: Client, url: str, place: str) -> None:
    """Goal: as above. Method: `mirror --once A B --prefix KEY`."""
    client.set(f"{place}/a", "1")
    with reachable(Pyetcd) as target:
        said = run(url, "mirror", "--once", url, target.url, "--prefix", place)
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith(f"{place} is copied: 1 key, 1 directory (2 written")


@pytest.mark.parametrize(
    "line",
    [
        "--timestamps KEY --after-index AFTER",
        "-r --timestamps KEY --after-index AFTER",
        "--timestamps -r KEY --after-index AFTER",
        "-r KEY --after-index AFTER --timestamps",
        "KEY --timestamps --after-index AFTER",
    ],
)
def test_a_watch_with_a_new_flag(client: Client, url: str, place: str, line: str) -> None:
    """Goal: a line of `watch` with a flag of ours is read as those of our commands: no flag in it
    is passed over in silence. Method: watch a change that has happened already.
    """
    made = client.set(place, "then").node.modified_index
    words = line.replace("KEY", place).replace("AFTER", str(made - 1)).split()
    said = run(url, "watch", *words)
    assert said.code == 0
    assert said.out.endswith(f" set {place} then\n")


def test_a_tree_with_a_flag_behind(client: Client, url: str, place: str) -> None:
    """Goal: as above, for `ls`. Method: `--tree` in front of the key, and a misspelt flag."""
    client.set(f"{place}/a", "1")
    assert run(url, "ls", "--tree", place, "--quorum").out == f"{place}\n\u2514\u2500\u2500 a\n"
    said = run(url, "ls", "--tree", place, "--quorun")
    assert (said.code, said.err) == (1, "flag provided but not defined: -quorun\n")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("dump /a --yamll", "flag provided but not defined: -yamll\n"),
        ("load x --prefix", "flag needs an argument: -prefix\n"),
        ("mirror a b --prefix", "flag needs an argument: -prefix\n"),
        ("mirror a -q --quiet b", "Cannot use two forms of the same flag: q quiet\n"),
        ("lease keep /k -5", "flag provided but not defined: -5\n"),
        ("lease keep -- /k -5", 'the TTL is "-5", but has to be a whole number'),
        ("dump -- --yaml /k", "dump: one key is wanted, and not '/k' as well\n"),
        ("member replace a ---b", "bad flag syntax: ---b\n"),
    ],
)
def test_a_mistake_is_told(line: str, complaint: str) -> None:
    """Goal: what looks like a flag and is none is no operand, but behind `--`. Method: many, at an
    endpoint where nobody listens.
    """
    said = run(NOWHERE, *line.split())
    assert said.code == 1
    assert said.err.startswith(complaint)


def test_help_of_everything(url: str) -> None:
    """Goal: `help --all` takes its words in any order. Method: in front and behind."""
    told = run(url, "help", "watch", "--all").out
    assert "--timestamps" in told
    assert run(url, "help", "--all", "watch").out == told
    assert "pyetcdctl member replace" in run(url, "help", "--all", "member", "replace").out


def test_a_key_that_begins_with_a_dash(client: Client, url: str, place: str) -> None:
    """Goal: `--` is the way to one. Method: dump and elect's value."""
    client.set("/-k", "v")
    assert json.loads(run(url, "dump", "--", "-k").out)["nodes"] == [{"key": "/-k", "value": "v"}]
    client.delete("/-k")
