"""Every script gives the same results on the store alone, on pyetcd and on a real etcd."""

from pathlib import Path

import pytest

from tests.golden.play import SCRIPTS, differences
from tests.golden.script import load, parse, write
from tests.golden.stages import HttpStage
from tests.golden.store_stage import StoreStage
from tests.oracle import Pyetcd, RealEtcd

EACH = pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
SCRIPTS_MIN = 25
FAIL_ON_3_5 = frozenset({"an_updated_directory_keeps_its_modifiedIndex", "refresh_needs_a_key"})
"""etcd 3.5.1, the stand-in for 3.4, cannot update a directory: 500 instead of 200."""


@EACH
def test_store_alone(path: Path) -> None:
    """Goal: the store has the behaviour by itself. Method: commands applied to a Store."""
    assert differences(path, StoreStage()) == []


@EACH
def test_pyetcd(path: Path) -> None:
    """Goal: the server adds and loses nothing. Method: the script over HTTP, on a fresh start."""
    with Pyetcd() as server:
        assert differences(path, HttpStage(server)) == []


@EACH
def test_real_etcd(path: Path) -> None:
    """Goal: the scripts tell the truth about etcd. Method: the script on a real one."""
    with RealEtcd() as server:
        found = differences(path, HttpStage(server))
        assert bool(found) == (path.stem in FAIL_ON_3_5 and not server.is_reference), found


def test_there_are_scripts() -> None:
    """Goal: an empty folder is no success. Method: count."""
    assert len(SCRIPTS) >= SCRIPTS_MIN


def test_a_changed_expectation_is_seen(tmp_path: Path) -> None:
    """Goal: the comparison has eyes. Method: a script with one wrong digit."""
    text = (
        SCRIPTS[0].read_text(encoding="utf-8").replace('"modifiedIndex":4', '"modifiedIndex":5', 1)
    )
    changed = tmp_path / SCRIPTS[0].name
    changed.write_text(text, encoding="utf-8")
    assert len(differences(changed, StoreStage())) == 1


def test_rewriting_keeps_the_story(tmp_path: Path) -> None:
    """Goal: --rewrite changes results only. Method: write the results a script has."""
    for path in SCRIPTS:
        copy = tmp_path / path.name
        blocks = load(path)
        write(copy, blocks, [block.expected for block in blocks])
        assert copy.read_text(encoding="utf-8") == path.read_text(encoding="utf-8")


def test_unknown_command() -> None:
    """Goal: a typing error in a script is told. Method: a command that does not exist."""
    with pytest.raises(ValueError, match="no such command"):
        parse("FETCH /a")
