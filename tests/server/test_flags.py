"""The flag scanner: Go's syntax, in order, first fault first."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.options.flags import FlagError, HelpAsked, NotAFlag, scan
from server.options.table import BY_NAME
from server.options.values import Kind

FLAG_ONLY = sorted(name for name, o in BY_NAME.items() if o.kind.is_flag_only)
WITH_VALUE = sorted(name for name, o in BY_NAME.items() if not o.kind.is_flag_only)


def scanned(*argv: str) -> list[tuple[str, str]]:
    """Names and texts."""
    return [(option.name, text) for option, text in scan(argv, BY_NAME)]


def test_forms() -> None:
    """Goal: all spellings of a flag; method: one each."""
    assert scanned("-name", "a", "--name", "b", "-name=c", "--name=d=e", "--name=") == [
        ("name", "a"),
        ("name", "b"),
        ("name", "c"),
        ("name", "d=e"),
        ("name", ""),
    ]
    assert scanned("--debug", "-debug=false", "--") == [("debug", "true"), ("debug", "false")]
    assert scanned("--name", "--debug") == [("name", "--debug")]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--bogus"], "flag provided but not defined: -bogus"),
        (["-bogus=1"], "flag provided but not defined: -bogus"),
        (["--name"], "flag needs an argument: -name"),
        (["---name"], "bad flag syntax: ---name"),
        (["--=x"], "bad flag syntax: --=x"),
        (["-=x"], "bad flag syntax: -=x"),
    ],
)
def test_faults(argv: list[str], message: str) -> None:
    """Goal: Go's texts; method: one fault each."""
    with pytest.raises(FlagError) as caught:
        scanned(*argv)
    assert str(caught.value) == message


@pytest.mark.parametrize("argv", [["foo"], ["-"], [""], ["--", "foo"], ["--debug", "foo"]])
def test_arguments_that_are_no_flags(argv: list[str]) -> None:
    """Goal: the scan ends at the first non-flag; method: each way to be none."""
    with pytest.raises(NotAFlag) as caught:
        scanned(*argv)
    assert caught.value.argument == argv[-1]


@pytest.mark.parametrize("flag", ["-h", "--h", "-help", "--help", "--help=x"])
def test_help(flag: str) -> None:
    """Goal: Go's built-in flags; method: all spellings."""
    with pytest.raises(HelpAsked):
        scanned("--name", "a", flag, "--bogus")


valued = st.tuples(st.sampled_from(WITH_VALUE), st.text(max_size=8))
switched = st.tuples(st.sampled_from(FLAG_ONLY), st.none() | st.text(max_size=8))


@given(st.lists(st.tuples(valued | switched, st.sampled_from(["-", "--"]), st.booleans())))
def test_what_is_written_is_read(flags: list[tuple[tuple[str, str | None], str, bool]]) -> None:
    """Goal: any flags in any spelling come out in order; method: write them, scan, compare."""
    argv: list[str] = []
    expected: list[tuple[str, str]] = []
    for (name, text), dashes, apart in flags:
        if text is None:
            argv.append(dashes + name)
        elif apart and BY_NAME[name].kind not in (Kind.BOOL, Kind.IGNORED):
            argv += [dashes + name, text]
        else:
            argv.append(f"{dashes}{name}={text}")
        expected.append((name, "true" if text is None else text))
    assert scanned(*argv) == expected


@given(st.lists(st.text(alphabet="-=hname x", max_size=8), max_size=5))
def test_any_arguments_end_in_a_known_way(argv: list[str]) -> None:
    """Goal: no other failure; method: texts made of the syntax's own characters."""
    with contextlib.suppress(FlagError, HelpAsked, NotAFlag):
        scanned(*argv)
