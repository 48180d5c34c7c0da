"""The table of mutants is in step with the sources, and mutants die."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from tests.mutants.campaign import (
    DIRECTED,
    ROOT,
    apply,
    copy_of_the_tree,
    imports_the_copy,
    read_killers,
    run_tests,
)
from tests.mutants.table import MUTANTS, Mutant

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
# The three that random simulation alone did not kill when PySyncObj was tried out.
HARD = [
    "leading: answers of this term",
    "driver: the leader's self-count",
    "following: acknowledgements held for the sync",
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_means_one_thing(mutant: Mutant) -> None:
    """Goal: the table is in step with the sources. Method: the old text occurs exactly once, and
    what comes of it is Python.
    """
    source = (ROOT / "raft" / mutant.file).read_text()
    assert source.count(mutant.old) == 1
    mutated = source.replace(mutant.old, mutant.new)
    assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(source))


def test_mutants_have_names_of_their_own() -> None:
    """Goal: `--only` and killers.txt mean one mutant. Method: count."""
    assert max(Counter(mutant.name for mutant in MUTANTS).values()) == 1


def test_killers_are_those_of_mutants() -> None:
    """Goal: what the last campaign wrote is about this table. Method: look into it."""
    assert set(read_killers()) == set(BY_NAME)


@pytest.mark.parametrize("name", HARD)
def test_a_mutant_dies(name: str) -> None:
    """Goal: the directed tests kill those that random simulation does not. Method: apply one and
    run the test that killed it the last time.
    """
    with copy_of_the_tree() as copy:
        assert imports_the_copy(copy)
        apply(BY_NAME[name], copy)
        killer = read_killers()[name]
        assert killer.startswith("fence/"), DIRECTED
        assert run_tests(copy, f"tests/raft/{killer}") is not None
