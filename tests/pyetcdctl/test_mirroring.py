"""mirror: the copy is the same, whatever happens in between."""

import shutil
import signal
from collections.abc import Iterator

import pytest

from pyetcdctl import Client, ClientError, ClusterUnavailable, DeadlineExceeded
from pyetcdctl.watching import Watch
from tests.clients.reachable import KINDS, reachable
from tests.clients.waiting import until
from tests.oracle import Pyetcd, Server
from tests.pyetcdctl.running import at_terminal, run, running

FOREIGN = 1500


@pytest.fixture(params=KINDS, ids=lambda kind: f"to {kind.kind}")
def target(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Where the copy is to be."""
    with reachable(request.param) as started:
        yield started


@pytest.fixture
def copy(target: Server) -> Iterator[Client]:
    """A client of it."""
    with Client([target.url]) as made:
        yield made


def shape(client: Client, place: str) -> dict[str, str]:
    """What is below a key: values, and a slash for directories."""
    nodes = client.get(place, recursive=True, quorum=True).node.walk()
    return {node.key: "/" if node.dir else node.value for node in nodes}


def test_a_copy_and_all_that_follows(
    client: Client, copy: Client, url: str, target: Server, place: str
) -> None:
    """Goal: the copy is made, then follows every kind of change, and Ctrl-C ends it with a report.
    Method: change things while it runs, and wait until both are the same."""
    client.delete(place, recursive=True) if _has(client, place) else None
    client.set(f"{place}/a", "1")
    client.make_dir(f"{place}/empty")
    with running(url, "mirror", "--prefix", place, url, target.url) as mirror:
        mirror.says("as of index")
        assert mirror.out.startswith(f"{place} is copied: 1 key, 2 directories (3 written, 0 rem")
        client.set(f"{place}/a", "2")
        client.set(f"{place}/b/c/d", "3", ttl=1)
        client.create_in_order(f"{place}/q", "4")
        client.make_dir(f"{place}/gone/below")
        client.delete(f"{place}/gone", recursive=True)
        client.set(f"{place}/turned", "v")
        client.make_dir(f"{place}/turned", prev_exist=None)
        client.set(f"{place}/end", "x")
        mirror.says(f" expire {place}/b/c/d")
        until(lambda: shape(copy, place) == shape(client, place), "both are the same")
        client.delete(place, recursive=True)
        mirror.says(f" delete {place}\n")
        assert not _has(copy, place)
        mirror.send(signal.SIGINT)
        ended = mirror.ended()
    assert ended.code == 0
    assert ended.err.startswith("followed 1")
    assert ended.err.endswith("\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_end(client: Client, url: str, place: str, number: signal.Signals) -> None:
    """Goal: whatever ends a mirror, it says how far it came, as a log wants to know. Method: each
    signal that ends, while it follows.
    """
    client.set(f"{place}/a", "1")
    with (
        reachable(Pyetcd) as target,
        running(url, "mirror", "--prefix", place, url, target.url) as mirror,
    ):
        mirror.says("as of index")
        made = client.set(f"{place}/a", "2").node.modified_index
        mirror.says(f" set {place}/a\n")
        mirror.send(number)
        ended = mirror.ended()
    assert (ended.code, ended.err) == (0, f"followed 1 change, up to index {made}\n")


def test_an_end_that_is_ignored(client: Client, url: str, place: str) -> None:
    """Goal: behind `nohup` SIGHUP ends nothing. Method: so; then SIGTERM."""
    client.set(f"{place}/a", "1")
    with reachable(Pyetcd) as target:
        script = (
            f"trap '' HUP; $CTL mirror --prefix {place} {url} {target.url} & "
            "read _; kill -HUP $!; read _; kill $!; wait $!; echo code $?"
        )
        with at_terminal(script, url) as terminal:
            terminal.shows("as of index")
            terminal.type("\n")
            client.set(f"{place}/a", "2")
            terminal.shows(f" set {place}/a")
            terminal.type("\n")
            terminal.shows("code 0")
            assert "followed 1 change" in terminal.shown


def _has(client: Client, key: str) -> bool:
    return any(node.key == key for node in client.get("/").node.nodes or ())


def test_begun_again_it_goes_on(
    client: Client, copy: Client, url: str, target: Server, place: str
) -> None:
    """Goal: a mirror that was down catches up by writing what differs. Method: --once, changes,
    --once again; removals only with --delete, and nothing is touched without."""
    for name in "abc":
        client.set(f"{place}/{name}", "1")
    words = ("mirror", "--once", "--prefix", place)
    assert run(url, *words, url, target.url).code == 0
    client.set(f"{place}/a", "2")
    assert "(1 written, 0 removed)" in run(url, *words, url, target.url).out
    client.delete(f"{place}/b")
    said = run(url, *words, url, target.url)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"mirror: the copy has 1 key below {place} that the original has not, such as {place}/b: "
        "--delete removes them\n"
    )
    assert "(0 written, 1 removed)" in run(url, *words, "--delete", url, target.url).out
    assert shape(copy, place) == shape(client, place)


def test_a_copy_that_was_away(client: Client, url: str, target: Server, place: str) -> None:
    """Goal: nothing is skipped while the copy does not answer, not even what the original no
    longer remembers. Method: kill the copy's server, write more than the history holds, start it
    again, and compare."""
    client.set(f"{place}/first", "1")
    with running(url, "mirror", "-q", "--prefix", place, url, target.url) as mirror:
        mirror.says("as of index")
        target.kill()
        client.set(f"{place}/second", "2")
        until(lambda: "the copy does not answer" in mirror.err, "it has noticed", deadline_s=30)
        for number in range(FOREIGN):
            client.set(f"{place}/n/{number % 7}", str(number))
        client.delete(f"{place}/first")
        target.start()
        with Client([target.url]) as copy:
            until(
                lambda: shape(copy, place) == shape(client, place),
                "it has caught up",
                deadline_s=60,
            )
        until(lambda: "the copy answers again\n" in mirror.err, "it says so")
        assert mirror.err.count("the copy does not answer") == 1


def test_an_original_that_is_away(url: str, place: str) -> None:
    """Goal: who looks at a mirror sees that the original is down, and that it is there again, once
    each. Method: kill the original twice; the second time it comes back and stays quiet.
    """
    with (
        reachable(Pyetcd) as original,
        running(original.url, "mirror", "--prefix", place, original.url, url) as mirror,
    ):
        mirror.says("as of index")
        for count in (1, 2):
            original.kill()
            away = "the original does not answer, it is tried again: client: etcd cluster is unav"
            until(lambda a=away, n=count: mirror.err.count(a) == n, "it notices")  # type: ignore[misc]
            original.start()
            back = "the original answers again\n"
            until(lambda b=back, n=count: mirror.err.count(b) == n, "it says so")  # type: ignore[misc]
        assert mirror.err.count("\n") == 4


def test_an_original_that_hangs() -> None:
    """Goal: silence in which nobody answers is an outage, too. Method: the decision alone: a
    question that stays open, and a look round the endpoints that fails; then a head.
    """
    told: list[ClientError | None] = []
    watch = Watch("/", recursive=True, after_index=5, on_outage=told.append)
    for _ in range(2):
        assert watch.took(watch.request(), DeadlineExceeded()) is None
        watch.answered()
    assert told == []
    trouble = ClusterUnavailable([])
    for _ in range(2):
        assert watch.took(watch.request(), DeadlineExceeded()) is None
        watch.failed(trouble)
    assert told == [trouble]
    request = watch.request()
    assert request.on_head is not None
    request.on_head(6)
    assert told == [trouble, None]


def test_bad_input(url: str) -> None:
    """Goal: mistakes have sentences and exit codes. Method: no operands, one cluster twice,
    endpoints where nobody is and that are none."""
    said = run(url, "mirror", url)
    assert (said.code, said.err) == (1, "mirror: two operands required: mirror <from> <to>\n")
    said = run(url, "mirror", url, url.removeprefix("http://"))
    assert said.code == 1
    assert said.err.startswith("mirror: both are the same cluster: the member ")
    assert run(url, "mirror", url, "http://127.0.0.1:1").code == 2
    assert run(url, "mirror", url, "http://127.0.0.1:x").code == 1


def test_an_original_that_is_wiped() -> None:
    """Goal: the copy of what was wiped is not emptied unasked. Method: wipe the original at the
    same port while it is followed, without and with --delete.
    """
    with (
        reachable(Pyetcd) as original,
        reachable(Pyetcd) as target,
        Client([target.url]) as copy,
    ):
        for is_deleting in (False, True):
            with Client([original.url]) as client:
                for number in range(30):
                    client.set("/w/k", str(number))
            words = ["mirror", "--prefix", "/w", *["--delete"] * is_deleting]
            with running(original.url, *words, original.url, target.url) as mirror:
                mirror.says("as of index")
                original.kill()
                shutil.rmtree(original.data_dir)
                original.start()
                until(lambda m=mirror: "has begun anew: index" in m.err, "it notices")
                if is_deleting:
                    until(lambda: not _has(copy, "/w"), "the copy is empty as well")
                    continue
                ended = mirror.ended()
                assert ended.code == 1
                assert "mirror: the copy has 2 keys below /w that the original has not" in ended.err
                assert shape(copy, "/w") == {"/w/k": "29"}
