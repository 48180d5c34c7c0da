"""-o yaml, -o table, ls --tree, watch --format: what people read."""

import re
from datetime import datetime

import pytest
import yaml

from pyetcdctl import Client, Node, Result
from pyetcdctl.command import event_lines, formats
from tests.oracle import Server
from tests.pyetcdctl.running import PROGRAM, at_terminal, environment, on_terminal, run, running


def test_yaml_says_what_json_says(client: Client, url: str, place: str) -> None:
    """Goal: YAML is the answer, with the names of the wire. Method: read it back, beside the
    library's answer; values that YAML could take for something else."""
    for name, value in (("a", "yes"), ("b", "1"), ("c", "x: [y]\n\x1b"), ("d", "")):
        client.set(f"{place}/{name}", value)
    client.set(f"{place}/e", "v", ttl=100)
    said = run(url, "-o", "yaml", "ls", "-r", place)
    node = yaml.safe_load(said.out)["node"]
    known = {each.key: each for each in client.get(place, recursive=True).node.walk()}
    assert node["dir"] is True
    assert {each["key"]: each["value"] for each in node["nodes"]} == {
        key: each.value for key, each in known.items()
    }
    assert [each["modifiedIndex"] for each in node["nodes"] if each["key"].endswith("/a")] == [
        known[f"{place}/a"].modified_index
    ]
    assert [each["ttl"] > 90 for each in node["nodes"] if "ttl" in each] == [True]


def test_a_change_as_yaml_and_as_a_table(client: Client, url: str, place: str) -> None:
    """Goal: what was there before is shown, too. Method: two sets."""
    client.set(place, "old")
    document = yaml.safe_load(run(url, "-o", "yaml", "set", place, "new").out)
    assert (document["action"], document["prevNode"]["value"]) == ("set", "old")
    head, _rule, row = run(url, "-o", "table", "set", place, "newer").out.splitlines()
    assert head.split() == ["ACTION", "KEY", "VALUE", "TTL", "CREATED", "MODIFIED", "PREVIOUS"]
    words = row.split()
    assert (words[:3], words[-1]) == (["set", place, "newer"], "new")


def test_a_table_is_not_fooled() -> None:
    """Goal: a value can neither break a row nor reach the terminal. Method: line ends, escape
    sequences, rich's own markup, and 1,000 characters off a terminal."""
    values = ["a\nb", "\x1b[31mred", "[bold]x[/]", "w" * 1000, "\udcff"]
    nodes = tuple(Node(f"/{n}", value, created_index=1) for n, value in enumerate(values))
    text = formats.result(Result("get", Node("/", dir=True, nodes=nodes)), "table")
    assert len(text.splitlines()) == 2 + len(values)
    assert "\x1b" not in text
    for shown in (r'"a\nb"', r'"\x1b[31mred"', "[bold]x[/]", "w" * 1000, r'"\xff"'):
        assert shown in text


def test_members_and_health(server: Server, url: str) -> None:
    """Goal: the two that list members have both formats, and keep their exit codes. Method: one
    member that is well, and no member at all."""
    members = yaml.safe_load(run(url, "-o", "yaml", "member", "list").out)["members"]
    assert members[0]["clientURLs"] == [url]
    assert members[0]["isLeader"] is True
    rows = run(url, "-o", "table", "member", "list").out.splitlines()
    assert re.split(r"\s{2,}", rows[0]) == [
        "ID", "NAME", "STATE", "PEER URLS", "CLIENT URLS", "LEADER",
    ]  # fmt: skip
    assert members[0]["id"] in rows[2]
    health = run(url, "-o", "yaml", "cluster-health")
    assert (health.code, yaml.safe_load(health.out)["cluster"]) == (0, "healthy")
    assert "healthy" in run(url, "-o", "table", "cluster-health").out
    assert run("http://127.0.0.1:1", "-o", "table", "cluster-health").code == 4
    assert run(url, "-o", "table", "member", "list", "x").code == 1


def test_colour_is_for_terminals(url: str) -> None:
    """Goal: colour on a terminal, none with NO_COLOR, none off it. Method: the same command on a
    terminal of ours, with and without, and through a pipe although FORCE_COLOR is set."""
    words = ["-o", "table", "cluster-health"]
    assert "\x1b[32mhealthy" in on_terminal([*PROGRAM, *words], environment(url))
    without = on_terminal([*PROGRAM, *words], environment(url, NO_COLOR="1"))
    assert "healthy" in without
    assert "\x1b[32m" not in without
    assert "\x1b" not in run(url, *words, FORCE_COLOR="1").out


def test_a_table_that_goes_on(url: str) -> None:
    """Goal: Ctrl-C leaves the terminal its cursor, exit code 0. Method: press it."""
    with at_terminal("$CTL -o table cluster-health -f; echo code $?", url) as terminal:
        terminal.shows("healthy")
        terminal.type("\x03")
        terminal.shows("code 0")
        assert terminal.shown.count("\x1b[?25h") == terminal.shown.count("\x1b[?25l") == 1


def test_a_tree(client: Client, url: str, place: str) -> None:
    """Goal: --tree draws what is below, sorted. Method: a small tree."""
    for key in ("b/y", "a", "b/x/1"):
        client.set(f"{place}/{key}", "v")
    client.make_dir(f"{place}/c")
    said = run(url, "ls", "--tree", place)
    assert said.out.splitlines() == [
        place,
        "├── a",
        "├── b/",
        "│   ├── x/",
        "│   │   └── 1",
        "│   └── y",
        "└── c/",
    ]
    assert run(url, "ls", "--tree", f"{place}/no").code == 4


def test_watching_with_a_format(client: Client, url: str, place: str) -> None:
    """Goal: every event as the format says, those of directories, too. Method: watch from an
    index on, until all that happened is printed."""
    index = client.set(f"{place}/a", "1").index
    client.set(f"{place}/a", "2")
    client.make_dir(f"{place}/d")
    client.delete(f"{place}/a")
    form = r"{action}\t{key}={value}|{prev}|{index}{{}}"
    words = ("watch", "-f", "-r", "--after-index", str(index), "--format", form, place)
    with running(url, *words) as watching:
        watching.says("delete")
        lines = watching.out.splitlines()
    assert lines == [
        f"set\t{place}/a=2|1|{index + 1}{{}}",
        f"create\t{place}/d/=||{index + 2}{{}}",
        f"delete\t{place}/a=|2|{index + 3}{{}}",
    ]


def test_timestamps(client: Client, url: str, place: str) -> None:
    """Goal: --timestamps puts the time in front. Method: read it back; it is between before and
    after."""
    index = client.set(place, "1").index
    client.set(place, "2")
    before = datetime.now().astimezone()
    said = run(url, "watch", "--timestamps", "--after-index", str(index), place)
    time, rest = said.out.split(" ", 1)
    assert rest == f"set {place} 2\n"
    elapsed_s = (datetime.fromisoformat(time) - before).total_seconds()
    assert -0.001 <= elapsed_s < 30


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ("{nope}", '--format is "{nope}": {nope} is none of {time}, {action}, '),
        ("{", '--format is "{": a lone { is to be written {{'),
        ("a}", '--format is "a}": a lone } is to be written }}'),
    ],
)
def test_formats_that_are_wrong(form: str, complaint: str) -> None:
    """Goal: a format is refused with a sentence, before anything is asked. Method: bad ones, at
    an endpoint that is not there."""
    said = run("http://127.0.0.1:1", "watch", "--format", form, "/k")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(complaint)


def test_a_format_fills_all_fields() -> None:
    """Goal: each name stands for what it says. Method: one event with everything."""
    event = Result("expire", Node("/k", modified_index=9, ttl=3), Node("/k", "v"))
    form = " ".join(f"{{{name}}}" for name in event_lines.FIELDS)
    now = datetime.fromisoformat("2020-01-02T03:04:05.678+00:00")
    line = event_lines.line(form, event, now=now).split(" ")
    assert datetime.fromisoformat(line[0]) == now
    assert line[1:] == ["expire", "/k", "", "v", "9", "3\n"]
