"""dump and load: nothing is lost on the way, and nothing fails in silence."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from pyetcdctl import Client
from pyetcdctl.command import dumps
from tests.pyetcdctl.running import END_S, PROGRAM, at_terminal, environment, on_terminal, run


def filled(client: Client, place: str) -> None:
    """A subtree with all there is."""
    client.set(f"{place}/z", "first")
    client.set(f"{place}/text", 'ü "q" \\ \n\t\x01 \x85 \u2028 yes')
    client.set(f"{place}/empty", "")
    client.make_dir(f"{place}/dir")
    client.make_dir(f"{place}/dying", ttl=500)
    client.set(f"{place}/ttl", "v", ttl=300)
    for value in "ab":
        client.create_in_order(f"{place}/queue", value)
    client.set(f"{place}/a", "last")


def shape(client: Client, place: str) -> dict[str, tuple[bool, str, bool]]:
    """What is below: kind, value, whether it has a TTL; by its place."""
    nodes = client.get(place, recursive=True).node.walk()
    return {n.key.removeprefix(place): (n.dir, n.value, n.ttl > 100) for n in nodes}


def order(client: Client, place: str) -> list[str]:
    """The keys in the order they were created."""
    nodes = [n for n in client.get(place, recursive=True).node.walk() if not n.dir]
    return [n.key.removeprefix(place) for n in sorted(nodes, key=lambda n: n.created_index)]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_there_and_back(client: Client, url: str, place: str, form: str) -> None:
    """Goal: a subtree survives being dumped and loaded: kinds, values, TTLs, names of in-order
    keys, order of creation. Method: load it under another prefix and compare."""
    place = f"{place}_{form}"
    filled(client, place)
    dumped = run(url, "-o", form, "dump", place)
    assert (dumped.code, dumped.err) == (0, "")
    loaded = run(url, "load", "--prefix", f"{place}/../copy_{form}", stdin=dumped.out)
    assert (loaded.code, loaded.err) == (0, "loaded 7 keys and 4 directories\n")
    copy = f"/copy_{form}"
    assert shape(client, copy) == shape(client, place)
    assert order(client, copy) == order(client, place)


def test_a_file(client: Client, url: str, place: str, tmp_path: Path) -> None:
    """Goal: --file writes all of it, in the format its name says, and load takes it back to where
    it was. Method: remove the subtree in between."""
    filled(client, place)
    before = shape(client, place)
    path, beside = tmp_path / "dump.yaml", tmp_path / "dump.yaml.part"
    beside.write_text("somebody else's")
    said = run(url, "dump", place, "--file", str(path))
    assert said.err == f"dumped 7 keys and 4 directories to {path}\n"
    assert path.read_text().startswith("pyetcdctl-dump: 1\n")
    assert sorted(tmp_path.iterdir()) == [path, beside]
    assert beside.read_text() == "somebody else's"
    client.delete(place, recursive=True)
    assert run(url, "load", str(path)).code == 0
    assert shape(client, place) == before


def test_what_is_there_already(client: Client, url: str, place: str) -> None:
    """Goal: an existing key is a failure, skipped, or replaced, as asked for; and always counted.
    Method: load twice over a changed key."""
    client.set(f"{place}/a", "1")
    client.set(f"{place}/b", "2")
    dumped = run(url, "dump", place).out
    client.set(f"{place}/a", "changed")
    client.delete(f"{place}/b")
    said = run(url, "load", stdin=dumped)
    assert said.code == 4
    assert said.err == (
        f"{place}/a: there is one already (--skip-existing or --replace?)\n"
        "loaded 1 key and 1 directory, 1 failed\n"
    )
    said = run(url, "load", "--skip-existing", stdin=dumped)
    assert (said.code, said.err) == (0, "loaded 0 keys and 1 directory, skipped 2 that exist\n")
    assert client.get(f"{place}/a").node.value == "changed"
    said = run(url, "load", "--replace", stdin=dumped)
    assert (said.code, said.err) == (0, "loaded 2 keys and 1 directory\n")
    assert client.get(f"{place}/a").node.value == "1"


def test_below_the_root(client: Client, url: str, place: str) -> None:
    """Goal: what is loaded below / needs no directory made for it: that is there, and all is well.
    Method: a subtree, and a single key, which cannot be /.
    """
    client.set(f"{place}/{place[1:]}_a", "1")
    client.make_dir(f"{place}/{place[1:]}_d", ttl=500)
    dumped = run(url, "dump", place).out
    for prefix in ("/", "//", "/x/.."):
        said = run(url, "load", "--replace", "--prefix", prefix, stdin=dumped)
        assert (said.code, said.err) == (0, "loaded 1 key and 1 directory\n")
    assert client.get(f"{place}_a").node.value == "1"
    dumped = run(url, "dump", f"{place}_a").out
    said = run(url, "load", "--prefix", "/", stdin=dumped)
    assert (said.code, said.err) == (
        1,
        f"load: nodes[0].key is '{place}_a', but a key with a value cannot be loaded as /\n",
    )


def test_a_key_in_the_way_of_a_directory(client: Client, url: str, place: str) -> None:
    """Goal: what the server refuses is told for each node, and the rest is loaded. Method: a key
    where the dump has a directory."""
    client.set(f"{place}/d/x", "v")
    client.set(f"{place}/k", "v")
    dumped = run(url, "dump", place).out
    client.delete(place, recursive=True)
    client.set(f"{place}/d", "in the way")
    said = run(url, "load", stdin=dumped)
    assert said.code == 4
    index = client.get(f"{place}/d").node.modified_index
    assert said.err.startswith(f"{place}/d: 104: Not a directory ({place}/d) [")
    assert int(said.err.partition("[")[2].partition("]")[0]) >= index
    assert said.err.endswith("loaded 1 key and 1 directory, 2 failed\n")


def test_bytes_that_are_no_text() -> None:
    """Goal: what is no UTF-8 is refused in a sentence that says where. Method: two such bytes."""
    done = subprocess.run(
        [*PROGRAM, "load"],
        env=environment("http://127.0.0.1:1"),
        input=b"caf\xc3\xa9: \xff\xfe",
        capture_output=True,
        timeout=END_S,
        check=False,
    )
    said = b"load: this is neither JSON nor YAML: the byte 0xff at 7 is no UTF-8\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", said)


def test_one_key(client: Client, url: str, place: str) -> None:
    """Goal: a key that is no directory is dumped, too. Method: dump and read."""
    client.set(place, "v")
    assert json.loads(run(url, "dump", place).out)["nodes"] == [{"key": place, "value": "v"}]
    assert run(url, "dump", f"{place}/no").code == 4


def test_the_format_of_a_file(client: Client, url: str, place: str, tmp_path: Path) -> None:
    """Goal: what is asked for in words counts more than what a file is called. Method: JSON into a
    file that is named as YAML, and the reverse; both asked for.
    """
    client.set(place, "v")
    yaml, json_ = tmp_path / "x.yaml", tmp_path / "x.json"
    assert run(url, "-o", "json", "dump", place, "-f", str(yaml)).code == 0
    assert json.loads(yaml.read_text())["key"] == place
    for words in (["-o", "yaml", "dump", place], ["dump", "--yaml", place]):
        assert run(url, *words, "-f", str(json_)).code == 0
        assert json_.read_text().startswith("pyetcdctl-dump: 1\n")
    said = run(url, "-o", "json", "dump", place, "--yaml")
    assert (said.code, said.out) == (1, "")
    assert said.err == "--yaml and --output json cannot both be given\n"


MARK = '"pyetcdctl-dump": 1, "key": "/a"'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", 'this is no dump: it has no field "pyetcdctl-dump"'),
        ("{", "this is no JSON: "),
        ("a: [", "this is neither JSON nor YAML: "),
        ("[" * 100_000, "this is nested too deeply|this is neither JSON nor YAML"),
        ("{}", 'this is no dump: it has no field "pyetcdctl-dump"'),
        ('{"pyetcdctl-dump": 2}', "pyetcdctl-dump is 2, but has to be 1"),
        ('{"pyetcdctl-dump": 1, "key": "a"}', "key is 'a', but has to be a key that begins"),
        (f"{{{MARK}}}", "nodes is missing, but has to be a list"),
        (f'{{{MARK}, "nodes": [1]}}', r"nodes\[0\] is a int, but has to be a mapping"),
        (f'{{{MARK}, "nodes": [{{"key": 1}}]}}', r"nodes\[0\].key is 1, but has to be a key"),
        (f'{{{MARK}, "nodes": [{{"key": "/a/../b"}}]}}', r"nodes\[0\].key is '/a/../b', but"),
        (f'{{{MARK}, "nodes": [{{"key": "/a", "vlue": ""}}]}}', r"nodes\[0\] has a field 'vlue'"),
        (f'{{{MARK}, "nodes": [{{"key": "/a", "value": 1}}]}}', r"nodes\[0\].value is 1, but"),
        (f'{{{MARK}, "nodes": [{{"key": "/a", "ttl": 0}}]}}', r"nodes\[0\].ttl is 0, but has to"),
        (f'{{{MARK}, "nodes": [{{"key": "/a", "ttl": "x"}}]}}', r"nodes\[0\].ttl is 'x', but"),
        (f'{{{MARK}, "nodes": [{{"key": "/a", "dir": 1}}]}}', r"nodes\[0\].dir is 1, but has"),
        (
            f'{{{MARK}, "nodes": [{{"key": "/a", "dir": true, "value": ""}}]}}',
            r"nodes\[0\] has both dir and value",
        ),
        (f'{{{MARK}, "nodes": [{{"key": "/b"}}]}}', r"nodes\[0\].key is '/b', but has to be /a or"),
        (f'{{{MARK}, "nodes": [{{"key": "/ab"}}]}}', r"nodes\[0\].key is '/ab', but has to be /a "),
        (
            f'{{{MARK}, "nodes": [{{"key": "/a/b"}}, {{"key": "/a"}}, {{"key": "/a/b"}}]}}',
            r"nodes\[2\].key is '/a/b', as that of nodes\[0\] is already$",
        ),
    ],
)
def test_what_is_no_dump(text: str, complaint: str) -> None:
    """Goal: bad input is a sentence that names field, value and what is allowed. Method: many."""
    with pytest.raises(dumps.Unusable) as caught:
        dumps.entries(dumps.read(text), None)
    assert re.match(complaint, str(caught.value)), caught.value


def test_bad_input_writes_nothing(client: Client, url: str, place: str) -> None:
    """Goal: a bad document is refused whole, with exit 1. Method: a good node before a bad one."""
    nodes = [{"key": f"{place}/a", "value": "v"}, {"key": f"{place}/b", "value": 1}]
    text = json.dumps({dumps.MARK: 1, "key": place, "nodes": nodes})
    said = run(url, "load", stdin=text)
    assert said.code == 1
    assert said.err == "load: nodes[1].value is 1, but has to be a text (in quotes)\n"
    assert run(url, "get", f"{place}/a").code == 4
    outside = json.dumps({dumps.MARK: 1, "key": "/x", "nodes": nodes[:1]})
    assert "has to be /x or below" in run(url, "load", stdin=outside).err
    assert "has to be /x or below" in run(url, "load", "--prefix", "/y", stdin=outside).err
    assert run(url, "load", "--replace", "--skip-existing", stdin=text).code == 1
    assert run(url, "load", "/nonexistent").err.startswith("load: open /nonexistent: no such file")


def test_an_interrupted_load(url: str, place: str, tmp_path: Path) -> None:
    """Goal: Ctrl-C ends a load, says how far it came, and leaves the terminal its cursor. Method:
    press it when the bar is shown.
    """
    nodes = [{"key": f"{place}/{number}", "value": "v"} for number in range(20_000)]
    path = tmp_path / "dump.json"
    path.write_text(json.dumps({"pyetcdctl-dump": 1, "key": place, "nodes": nodes}))
    with at_terminal(f"$CTL load {path}; echo code $?", url) as terminal:
        terminal.shows("loading")
        terminal.type("\x03")
        terminal.shows("code 130")
        assert re.search(r"stopped after \d+ of 20000 nodes: loaded \d+ key", terminal.shown)
        assert terminal.shown.count("\x1b[?25h") == terminal.shown.count("\x1b[?25l")


def test_progress_is_for_terminals(client: Client, url: str, place: str, tmp_path: Path) -> None:
    """Goal: a bar on a terminal, none in a pipe. Method: load the same file both ways."""
    client.set(f"{place}/a", "v")
    path = tmp_path / "dump.json"
    run(url, "dump", place, "-f", str(path))
    words = ["load", "--replace", str(path)]
    assert "loading" in on_terminal([*PROGRAM, *words], environment(url))
    said = run(url, *words)
    assert (said.out, said.err) == ("", "loaded 1 key and 1 directory\n")
