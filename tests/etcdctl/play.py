"""One case played on a stage: prepare, set up, run the client, do to it what the case says, judge.

Laws: what the capture did at fixed times after the start is done here once the client is where the
capture found it (its watch is registered, or it prints), so that a slow machine changes nothing.
Steps other than the client itself are run with the reference client: they are not what is tested.
A signal comes no earlier than in the capture, and later if the expected output is not there yet.
"""

import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.clients.waiting import until
from tests.etcdctl.ages import all_ages
from tests.etcdctl.cases import SERVER_KILLED, Case, Outcome, Step
from tests.etcdctl.judgement import differences, texts_match
from tests.etcdctl.orders import all_orders
from tests.etcdctl.placeholders import fill
from tests.etcdctl.programs import Program, Running, reference
from tests.etcdctl.stages import ENDPOINTS_OF_CASE, Stage
from tests.oracle import Request

_STEP_S = 30.0
_BETWEEN_STEPS_S = 0.35
_UNTIL_STEPS_S = 0.6
"""How long after its start the capture took a client to be where it is looked for."""
_LATE_S = 10.0
_ALIVE_S = 20.0


def play(case: Case, program: Program, stage: Stage) -> str:
    """What differs from what is expected, for readers; empty if nothing does."""
    stage.prepare(case)
    names = stage.names()
    with tempfile.TemporaryDirectory(prefix="etcdctl-") as made:
        performance = Performance(case, program, stage, names, Path(made))
        began = time.monotonic()
        performance.steps(case.setup, between_s=0.0)
        outcomes = [performance.run() for _ in range(case.repeat)]
        elapsed_s = time.monotonic() - began
    if case.volatile:
        return ""
    names |= stage.names()
    expected = all_orders(program.expected(case), case.argv, stage.roster())
    expected = all_ages(expected, elapsed_s)
    return "".join(differences(outcome, expected, names) for outcome in outcomes)


class Performance:
    """A case with everything needed to run its command lines."""

    def __init__(
        self,
        case: Case,
        program: Program,
        stage: Stage,
        names: Mapping[str, str],
        directory: Path,
    ) -> None:
        self._case = case
        self._program = program
        self._stage = stage
        self._names = names
        self._directory = directory

    def steps(self, steps: Iterable[Step], *, between_s: float) -> None:
        """Run command lines with the reference client, or what `@` names."""
        for number, step in enumerate(steps):
            if number:
                _pause(between_s)
            self._step(self._filled(step))

    def run(self) -> Outcome:
        """Run the client, and do to it what the case says."""
        case = self._case
        running = Running(
            [*self._program.argv, *self._filled(case.argv)],
            self._environment(self._program, case.env),
            self._directory,
            stdin=case.stdin,
            on_terminal=bool(case.typed),
        )
        with running:
            for line in case.typed:
                running.type_line(line)
            if case.is_staged:
                self._await_work(running)
                self._intervene(running)
            return running.finish(case.limit_s)

    def _step(self, step: Sequence[str]) -> None:
        match step:
            case ["@sleep", seconds]:
                _pause(float(seconds))
            case ["@events", key, count]:
                self._set_often(key, int(count))
            case ["@stdin", text, *argv]:
                self._reference(argv, text)
            case _:
                self._reference(step, "")

    def _reference(self, argv: Sequence[str], text: str) -> None:
        program = reference()
        subprocess.run(
            [*program.argv, *argv],
            env=self._environment(program, {ENDPOINTS_OF_CASE: "{{EP0}}"}),
            input=text.encode(),
            capture_output=True,
            timeout=_STEP_S,
            cwd=self._directory,
        )

    def _set_often(self, key: str, count: int) -> None:
        with self._stage.members[0].connect() as connection:
            for number in range(count):
                request = Request.form("PUT", f"/v2/keys{key}", f"value={number}")
                assert connection.ask(request).status in (200, 201)

    def _await_work(self, running: Running) -> None:
        def is_at_work() -> bool:
            is_seen = self._stage.watchers() if self._case.watches else running.text("stdout")
            return bool(is_seen) or not running.is_running

        until(is_at_work, "the client watches or prints", deadline_s=_ALIVE_S)

    def _intervene(self, running: Running) -> None:
        case = self._case
        began = time.monotonic()
        self.steps(case.during, between_s=_BETWEEN_STEPS_S)
        if case.state == SERVER_KILLED:
            self._stage.kill()
        if case.signal:
            not_before = began + case.signal_after_s - _UNTIL_STEPS_S
            self._hold(running, not_before, not_before + _LATE_S)
            running.process.send_signal(signal.Signals[f"SIG{case.signal}"])

    def _hold(self, running: Running, not_before: float, not_after: float) -> None:
        expected = self._program.expected(self._case)
        while running.is_running and time.monotonic() < not_after:
            outcome = running.outcome(0)
            is_there = any(texts_match(outcome, one, self._names) for one in expected)
            if is_there and time.monotonic() >= not_before:
                return
            _pause(0.02)

    def _filled(self, words: Iterable[str]) -> list[str]:
        return [fill(word, self._names) for word in words]

    def _environment(self, program: Program, own: Mapping[str, str | None]) -> dict[str, str]:
        merged = {**self._stage.environment(), **own}
        values = {n: v if v is None else fill(v, self._names) for n, v in merged.items()}
        return program.environment(values)


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)
