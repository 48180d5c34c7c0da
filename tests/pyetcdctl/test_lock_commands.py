"""lock, elect, lease keep: what a shell sees of them."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyetcdctl import Client, KeyNotFound
from tests.clients.reachable import reachable
from tests.clients.waiting import until
from tests.oracle import RealEtcd
from tests.pyetcdctl.running import (
    END_S,
    PROGRAM,
    at_terminal,
    environment,
    on_terminal,
    run,
    running,
)
from tests.pyetcdctl.saying import saying

NOWHERE = "http://127.0.0.1:1"
UNKNOWN = "flag provided but not defined"


def queue(client: Client, place: str) -> list[str]:
    """The keys in the queue, in order."""
    try:
        return sorted(node.key for node in client.get(place).node.nodes or ())
    except KeyNotFound:
        return []


@pytest.mark.parametrize(
    ("script", "code"), [("echo hi", 0), ("echo hi; exit 3", 3), ("echo hi; kill -KILL $$", 137)]
)
def test_the_exit_code_is_the_commands(
    client: Client, url: str, place: str, script: str, code: int
) -> None:
    """Goal: `lock` is transparent: output and exit code are the command's, and the lock is free
    again. Method: a command that succeeds, one that fails, one that a signal ends."""
    said = run(url, "lock", place, "--", "sh", "-c", script)
    assert (said.code, said.out, said.err) == (code, "hi\n", "")
    assert queue(client, place) == []


def test_what_is_behind_the_dashes(client: Client, url: str, place: str) -> None:
    """Goal: flags are flags on both sides of the key, and none behind `--`, where all is the
    command's. Method: a command whose words look like our flags, and as another `--`.
    """
    words = ["echo", "--wait", "0s", "--ttl", "--", "-h"]
    said = run(url, "lock", "--ttl", "20", place, "--wait=5s", "--", *words)
    assert (said.code, said.out, said.err) == (0, "--wait 0s --ttl -- -h\n", "")
    assert queue(client, place) == []


def test_one_at_a_time(url: str, place: str, tmp_path: Path) -> None:
    """Goal: commands of one lock never overlap. Method: three at once, each of which notes its
    begin and its end."""
    notes = tmp_path / "notes"
    script = f"echo in >> {notes}; read -t 0.2 _ < /dev/zero; echo out >> {notes}"
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(run, url, "lock", place, "--", "bash", "-c", script) for _ in "123"]
        assert [each.result().code for each in runs] == [0, 0, 0]
    assert notes.read_text().split() == ["in", "out"] * 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_are_passed_on(
    client: Client, url: str, place: str, number: signal.Signals
) -> None:
    """Goal: a signal reaches the command, and its exit code comes back. Method: a shell that
    traps the signal and says so."""
    name = number.name.removeprefix("SIG")
    wait = "while read -t 1 _ || [ $? -gt 128 ]; do :; done"  # to its end, if no signal comes
    script = f"trap 'echo got {name}; exit 7' {name}; echo ready; {wait}"
    with running(url, "lock", place, "--", "bash", "-c", script + " < <(sleep 60)") as locked:
        locked.says("ready")
        locked.send(number)
        ended = locked.ended()
    assert (ended.code, ended.out) == (7, f"ready\ngot {name}\n")
    assert queue(client, place) == []


def test_a_lost_lock_ends_the_command(client: Client, url: str, place: str) -> None:
    """Goal: with the lock gone, the command and what it started are ended, with a sentence and
    exit 4. Method: remove the key under a shell with a child; both are gone afterwards."""
    script = "sleep 600 & echo $$ $!; wait"
    with running(url, "lock", "--ttl", "1", place, "--", "sh", "-c", script) as locked:
        until(lambda: len(locked.out.split()) == 2, "it runs")
        pids = [int(pid) for pid in locked.out.split()]
        client.delete(queue(client, place)[0])
        ended = locked.ended()
    assert ended.code == 4
    assert "is lost: 100: Key not found" in ended.err
    assert ended.err.endswith("; the command is ended\n")
    until(lambda: not any(map(is_alive, pids)), "both have ended")


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_started_to_ignore_the_end_of_children(url: str, place: str) -> None:
    """Goal: the command's end is seen although whoever started us ignores SIGCHLD. Method: so."""
    words = ["env", "--ignore-signal=CHLD", *PROGRAM, "lock", place, "--", "sh", "-c", "exit 3"]
    done = subprocess.run(words, env=environment(url), timeout=END_S, check=False)
    assert done.returncode == 3


def test_nobody_reads_the_complaint(client: Client, url: str, place: str) -> None:
    """Goal: a loss ends the command even if nobody reads that it does. Method: a stderr whose
    reader has gone.
    """
    script = "echo $$; exec sleep 600"
    words = [*PROGRAM, "lock", "--ttl", "1", place, "--", "sh", "-c", script]
    with subprocess.Popen(
        words, env=environment(url), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as locked:
        assert locked.stdout is not None
        assert locked.stderr is not None
        pid = int(locked.stdout.readline())
        locked.stderr.close()
        client.delete(queue(client, place)[0])
        assert locked.wait(END_S) == 4
        assert not is_alive(pid)


def test_a_command_that_will_not_end_is_killed(client: Client, url: str, place: str) -> None:
    """Goal: no command outlives its lock for long. Method: one that ignores SIGTERM."""
    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    with running(url, "lock", "--ttl", "1", place, "--", "sh", "-c", script) as locked:
        locked.says("ready")
        client.delete(queue(client, place)[0])
        assert locked.ended().code == 4


def test_interrupted_while_waiting(client: Client, url: str, place: str) -> None:
    """Goal: whoever is interrupted in the queue leaves it, with 128 + the signal. Method: hold
    the lock; a second one waits and gets SIGTERM."""
    with running(url, "lock", place, "--", "sleep", "60") as holder:
        until(lambda: len(queue(client, place)) == 1, "it holds")
        with running(url, "lock", place, "--", "echo", "never") as waiter:
            until(lambda: len(queue(client, place)) == 2, "it waits")
            waiter.send(signal.SIGTERM)
            ended = waiter.ended()
        assert (ended.code, ended.out) == (143, "")
        assert len(queue(client, place)) == 1
        busy = run(url, "lock", "--wait", "100ms", place, "--", "echo", "never")
        assert (busy.code, busy.out) == (4, "")
        assert busy.err == f"Error:  the lock {place} was not got within 0.1 s\n"
        holder.send(signal.SIGTERM)
        assert holder.ended().code == 143


def test_on_a_terminal(url: str, place: str) -> None:
    """Goal: the command has the terminal. Method: one that says whether it has."""
    words = [*PROGRAM, "lock", place, "--", "sh", "-c", "test -t 0 && test -t 1 && echo both"]
    assert "both" in on_terminal(words, environment(url))


READS = "sh -c 'echo ready; read x < /dev/tty; echo got $x'"


@pytest.mark.parametrize("before", ["", "echo | "])
def test_stopping_a_holder(client: Client, url: str, place: str, before: str) -> None:
    """Goal: Ctrl-Z does not stop who holds a lock: it would lose the lock, and two would be at
    work. The command goes on, and has the terminal even if stdin is a pipe. Method: press it, see
    the lock kept alive, type what the command waits for.
    """
    script = f"{before}$CTL lock --ttl 1 {place} -- {READS}; echo code $?"
    with at_terminal(script, url) as terminal:
        terminal.shows("ready")
        terminal.type("\x1a")
        terminal.shows("cannot be stopped at the terminal: it goes on")
        held = client.get(queue(client, place)[0]).node
        until(
            lambda: client.get(held.key).node.modified_index > held.modified_index + 4,
            "it is kept alive",
        )
        terminal.type("hello\n")
        terminal.shows("got hello")
        terminal.shows("code 0")
        assert terminal.ended() == 0


@pytest.mark.parametrize("before", ["", "echo | "])
def test_interrupting_a_holder(client: Client, url: str, place: str, before: str) -> None:
    """Goal: Ctrl-C ends a command that reads from the terminal, whatever its stdin is. Method:
    press it.
    """
    with at_terminal(f"{before}$CTL lock {place} -- {READS}; echo code $?", url) as terminal:
        terminal.shows("ready")
        terminal.type("\x03")
        terminal.shows("code 130")
    until(lambda: queue(client, place) == [], "it is given back")


def test_a_holder_in_the_background(url: str, place: str) -> None:
    """Goal: a command that wants the terminal in the background waits until it has it, and says
    so; it ends when it is to end. Method: `fg`; and `kill` instead.
    """
    waits = "the command is stopped until it is in the foreground"
    script = f"$CTL lock {place} -- {READS} & read go; "
    with at_terminal(f"{script} fg; echo code $?", url) as terminal:
        terminal.shows(waits)
        terminal.type("\nhello\n")
        terminal.shows("got hello")
        terminal.shows("code 0")
    with at_terminal(f"{script} kill %1; wait %1; echo code $?", url) as terminal:
        terminal.shows(waits)
        terminal.type("\n")
        terminal.shows("code 143")


def test_a_lock_lost_at_a_terminal(client: Client, url: str, place: str) -> None:
    """Goal: at a terminal, too, all that the command has started is ended, and nothing else.
    Method: remove the key under a shell with a child.
    """
    script = f"sleep 600 & o=$!; $CTL lock --ttl 1 {place} -- sh -c 'sleep 600 & echo $$ $!.; wait'"
    with at_terminal(f"{script}; echo code $?; kill $o && echo alive", url) as terminal:
        terminal.shows(".")
        pids = [int(pid) for pid in terminal.shown.partition(".")[0].split()]
        client.delete(queue(client, place)[0])
        terminal.shows("code 4")
        terminal.shows("alive")
        assert not any(map(is_alive, pids))


def test_nohup(client: Client, url: str, place: str) -> None:
    """Goal: who is started to ignore a signal ignores it, waiting and holding. Method: SIGHUP to
    one behind `nohup`, in the queue and with the lock.
    """
    ignoring = ["sh", "-c", 'trap "" HUP; exec "$@"', "-"]
    words = [*ignoring, *PROGRAM, "lock", place, "--", "sh", "-c", "echo ready; read x; exit 5"]
    with running(url, "lock", place, "--", "sleep", "60") as holder:
        until(lambda: len(queue(client, place)) == 1, "it holds")
        with subprocess.Popen(
            words, env=environment(url), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as waiter:
            until(lambda: len(queue(client, place)) == 2, "it waits")
            waiter.send_signal(signal.SIGHUP)
            holder.send(signal.SIGTERM)
            assert waiter.stdout is not None
            assert waiter.stdout.readline() == b"ready\n"
            waiter.send_signal(signal.SIGHUP)
            assert waiter.communicate(b"\n", END_S) == (b"", None)
    assert waiter.returncode == 5


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["lock"], 1, "lock: key and command required"),
        (["lock", "/k"], 1, "lock: key and command required"),
        (["lock", "/k", "--"], 1, "lock: key and command required"),
        (["lock", "--", "/k", "true"], 1, "lock: key and command required"),
        (["lock", "/k", "true"], 1, "lock: the command has to stand behind --: lock <key> -- <"),
        (["lock", "/k", "0s", "--", "true"], 1, "lock: one key is wanted, and not '0s' as well"),
        (["lock", "--waitt", "0s", "/k", "--", "true"], 1, f"{UNKNOWN}: -waitt\n"),
        (["lock", "--no-wait", "/k", "--", "true"], 1, f"{UNKNOWN}: -no-wait\n"),
        (["lock", "/k", "--no-wait", "--", "true"], 1, f"{UNKNOWN}: -no-wait\n"),
        (["lock", "/k", "true", "-x"], 1, f"{UNKNOWN}: -x\n"),
        (["lock", "/k", "--wait", "--", "true"], 1, "flag needs an argument: -wait\n"),
        (["elect", "/k", "--tll", "5", "v"], 1, f"{UNKNOWN}: -tll\n"),
        (["elect", "/k", "v", "--tll=5"], 1, f"{UNKNOWN}: -tll\n"),
        (["lock", "/k", "--", "no-such-command"], 127, 'lock: exec: "no-such-command": exec'),
        (["lock", "/k", "--", "/etc/passwd"], 126, "lock: /etc/passwd: permission denied"),
        (["lock", "/k", "--", "/etc"], 126, "lock: /etc: is a directory"),
        (["lock", "/k", "--", "/etc/no"], 127, 'lock: exec: "/etc/no": executable file not found'),
        (["lock", "--ttl", "99999999999", "/k", "--", "true"], 1, 'the TTL is "99999999999", but'),
        (["lock", "--ttl", "0", "/k", "--", "true"], 1, 'the TTL is "0", but has to be a whole'),
        (["lock", "--wait", "x", "/k", "--", "true"], 1, 'invalid value "x" for flag -wait'),
        (["lock", "/k", "--", "true"], 2, "Error:  client: etcd cluster is unavailable"),
        (["elect", "/k"], 1, "elect: name and value required"),
        (["elect", "/k", "v"], 2, "Error:  client: etcd cluster is unavailable"),
        (["lease", "keep", "/k"], 1, "lease keep: key and ttl required"),
        (["lease", "keep", "/k", "1.5"], 1, 'the TTL is "1.5", but has to be a whole number'),
        (["lease", "keep", "/k", "1"], 2, "Error:  client: etcd cluster is unavailable"),
        (["lease", "lose", "/k"], 3, "No help topic for 'lose'"),
    ],
)
def test_bad_input(words: list[str], code: int, complaint: str) -> None:
    """Goal: each mistake has its sentence and its class of exit code. Method: many, at an endpoint
    where nobody listens."""
    said = run(NOWHERE, *words)
    assert said.code == code
    assert said.err.startswith(complaint)
    assert "Traceback" not in said.err


@pytest.mark.parametrize("words", [["lock", "/k", "--", "true"], ["elect", "/k", "v"]])
def test_nobody_answers(words: list[str]) -> None:
    """Goal: without a place in the queue nobody waits for a server: it ends as other commands do.
    Method: an endpoint where nobody listens, and one that is silent; how long `--wait` is does not
    count.
    """
    said = run(NOWHERE, "--no-sync", *words)
    assert said.code == 4
    assert said.err.startswith("Error:  client: etcd cluster is unavailable")
    assert "connection refused" in said.err
    with saying(b"", hangs_up=False) as silent:
        for more in [[], ["--wait", "100ms"]] if words[0] == "lock" else [[]]:
            said = run(silent, "--timeout", "200ms", words[0], *more, *words[1:])
            assert said.code == 4
            assert f"error #0: client: endpoint {silent} exceeded header timeout" in said.err


def test_an_outage_in_the_queue() -> None:
    """Goal: who has a place in the queue waits an outage out, and says so once. Method: a server
    that ends under one who waits, and comes back.
    """
    with reachable(RealEtcd) as server, Client([server.url]) as client:
        first = client.create_in_order("/l", "first").node.key
        with running(server.url, "lock", "/l", "--", "echo", "got") as waiter:
            until(lambda: len(queue(client, "/l")) == 2, "it waits")
            server.kill()
            until(lambda: "\n" in waiter.err, "the outage is told")
            server.start()
            client.delete(first)
            ended = waiter.ended()
    assert (ended.code, ended.out) == (0, "got\n")
    told, _, more = ended.err.partition(": client: etcd cluster is unavailable")
    assert told == "the server does not answer, it is tried again"
    assert more.count("is tried again") == 0


def test_a_queue_that_cannot_be(client: Client, url: str, place: str) -> None:
    """Goal: a server's no is exit 4. Method: a key with a value where the queue should be."""
    client.set(place, "v")
    said = run(url, "lock", place, "--", "echo", "never")
    assert (said.code, said.out) == (4, "")
    assert said.err.startswith("Error:  10")


def test_an_election(client: Client, url: str, place: str) -> None:
    """Goal: one leads, the next one leads after it; anybody can see who. Method: two candidates;
    the first is interrupted."""
    with running(url, "elect", place, "one") as first:
        first.says(" one\n")
        with running(url, "elect", place, "two") as second:
            until(lambda: len(queue(client, place)) == 2, "the second one waits")
            assert second.out == ""
            leader = queue(client, place)[0]
            assert first.out == f"{leader} one\n"
            assert client.get(leader).node.value == "one"
            first.send(signal.SIGINT)
            assert first.ended().code == 0
            second.says(" two\n")
            client.delete(queue(client, place)[0])
            # Until its next refresh: a third of its TTL of 10 s.
            ended = second.ended()
    assert ended.code == 4
    assert "is lost: 100: Key not found" in ended.err


def test_lease_keep(client: Client, url: str, place: str) -> None:
    """Goal: a key outlives its TTL while it is kept; Ctrl-C is exit 0, a loss exit 4. Method:
    wait for refreshes, interrupt; then the same with the key removed, and with none."""
    made = client.set(place, "v", ttl=1).node
    with running(url, "lease", "keep", place, "1") as keeping:
        keeping.says(f"{place} is kept alive, with a TTL of 1 s\n")
        until(lambda: client.get(place).node.modified_index > made.modified_index + 4, "refreshes")
        assert client.get(place).node.created_index == made.created_index
        keeping.send(signal.SIGINT)
        assert keeping.ended().code == 0
    client.set(place, "v", ttl=1)
    with running(url, "lease", "keep", place, "1") as keeping:
        keeping.says("is kept alive")
        client.delete(place)
        ended = keeping.ended()
    assert (ended.code, ended.err.split(" [")[0]) == (
        4,
        f"Error:  {place} is lost: 100: Key not found ({place})",
    )
    assert run(url, "lease", "keep", place, "1").code == 4
    client.set(place, "v")
    refused = run(url, "lease", "keep", place, "1")
    assert refused.code == 4
    assert refused.err.startswith(f"Error:  {place} has no TTL, so it needs no keeping")


@pytest.mark.parametrize("hurries", [False, True])
@pytest.mark.parametrize(
    "words", [["elect", "/l", "me"], ["lock", "/l", "--", "sh", "-c", "echo me; exec sleep 60"]]
)
def test_a_server_that_hangs_at_the_end(words: list[str], hurries: bool) -> None:
    """Goal: whoever is interrupted while the server hangs is gone in a short time, and at once at
    the second Ctrl-C. Method: stop the server under a holder; interrupt once, and twice.
    """
    with reachable(RealEtcd) as server, running(server.url, *words) as holder:
        holder.says("me\n")
        with stopped(server.pid):
            began_s = time.monotonic()
            holder.send(signal.SIGINT)
            if hurries:
                until(lambda: time.monotonic() > began_s + 0.5, "it is no echo")
                holder.send(signal.SIGINT)
            holder.ended()
            assert time.monotonic() - began_s < (1.5 if hurries else 3.5)


def test_a_lock_that_is_lost_is_not_given_back() -> None:
    """Goal: with the lock lost there is nothing to wait for. Method: stop the server until the TTL
    of a leader has run out.
    """
    with (
        reachable(RealEtcd) as server,
        running(server.url, "elect", "--ttl", "2", "/l", "me") as leader,
    ):
        leader.says(" me\n")
        with stopped(server.pid):
            began_s = time.monotonic()
            assert leader.ended().code == 4
            assert time.monotonic() - began_s < 3.5


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Nothing that a process has been asked is answered in here."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
