"""Log lines: their form, one line each, levels, outputs."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import log
from server.notice import NOTICE, Exit, info, warning

CONSOLE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} [CEWNID] \| [^:\n]+: [^\n]*")


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:], root.level = handlers, level
    root.setLevel(level)


def record(text: str, **fields: object) -> logging.LogRecord:
    """A record as a logger makes it."""
    base = {"name": "server.main", "levelno": logging.INFO, "msg": text, "filename": "main.py"}
    return logging.makeLogRecord(base | {"lineno": 7} | fields)


def test_console_line() -> None:
    """Goal: capnslog's form; method: one line per level, and each way to name a package."""
    line = log.ConsoleFormatter().format(record("text"))
    assert CONSOLE.fullmatch(line)
    assert line.endswith(" I | etcdmain: text")
    letters = {"DEBUG": "D", "INFO": "I", "NOTICE": "N", "WARNING": "W", "ERROR": "E"}
    for word, letter in (letters | {"CRITICAL": "C"}).items():
        formatted = log.ConsoleFormatter().format(record("x", levelno=log.RUNTIME_LEVELS[word]))
        assert f" {letter} | " in formatted
    for name, package in (
        ("raft.driver", "raft"),
        ("pkg/flags", "pkg/flags"),
        ("api.x", "etcdhttp"),
    ):
        assert f"| {package}: " in log.ConsoleFormatter().format(record("x", name=name))


def test_json_line() -> None:
    """Goal: zap's form; method: parse it back, with a field and an exception."""
    try:
        raise ValueError("broken\nvalue")
    except ValueError as error:
        exc_info = (type(error), error, error.__traceback__)
    line = log.JsonFormatter().format(
        record('a "text"\n', levelno=logging.WARNING, member="8e9e", exc_info=exc_info)
    )
    assert "\n" not in line
    parsed = json.loads(line)
    assert list(parsed) == ["level", "ts", "caller", "msg", "member"]
    assert (parsed["level"], parsed["member"]) == ("warn", "8e9e")
    assert parsed["caller"] == "etcdmain/main.py:7"
    assert parsed["msg"].startswith('a "text"\n')
    assert "ValueError: broken\nvalue" in parsed["msg"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", parsed["ts"])


def test_fields_and_tracebacks_stay_on_the_console_line() -> None:
    """Goal: nothing is lost and nothing breaks the line; method: extra and exc_info."""
    try:
        raise ValueError("broken")
    except ValueError as error:
        exc_info = (type(error), error, error.__traceback__)
    line = log.ConsoleFormatter().format(record("failed", exc_info=exc_info, index=7))
    assert CONSOLE.fullmatch(line)
    assert line.endswith("ValueError: broken index=7")


@given(st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cs", "Zl", "Zp"])))
def test_any_text_is_one_line(text: str) -> None:
    """Goal: no forged lines, no escape sequences, no encoding error; method: any text."""
    for formatter in (log.ConsoleFormatter(), log.JsonFormatter()):
        line = formatter.format(record("%s", args=(text,)))
        assert len(line.splitlines()) == 1 or json.loads(line)
        assert "\n" not in line
        assert "\r" not in line
        assert "\x1b" not in line
        line.encode()


@pytest.mark.parametrize("character", ["x", "\x00", "\udcff", "\U0001f600"])
def test_a_long_text_is_shortened(character: str) -> None:
    """Goal: a line below 64 KiB whatever a client sends, that says how much is not shown, its end
    kept. Method: a million characters, of those that are escaped or take many bytes, too."""
    long = record("%s, the end", args=(character * 1_000_000,))
    for formatter in (log.ConsoleFormatter(), log.JsonFormatter()):
        line = formatter.format(long)
        assert len(line.encode()) < 1 << 16
        assert "...(991817 characters)..." in line
        assert ", the end" in line
    short = character * log.TEXT_MAX
    assert "characters)" not in log.JsonFormatter().format(record("%s", args=(short,)))


def test_setup_writes_to_each_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], root_logger: logging.Logger
) -> None:
    """Goal: stdout, stderr and files get every line; method: all three, then only a file."""
    path = tmp_path / "etcd.log"
    log.setup("capnslog", "info", ["stdout", "stderr", str(path)])
    logging.getLogger("raft").info("first")
    logging.getLogger("raft").debug("hidden")
    log.setup("zap", "debug", [str(path)])
    logging.getLogger("raft").debug("second")
    captured = capsys.readouterr()
    assert captured.out.endswith("raft: first\n")
    assert captured.err == captured.out
    lines = path.read_text().splitlines()
    assert lines[0].endswith("I | raft: first")
    assert json.loads(lines[1])["msg"] == "second"
    for handler in root_logger.handlers[:]:
        handler.close()


def test_output_that_cannot_be_opened(tmp_path: Path) -> None:
    """Goal: a clear error and the old outputs kept; method: a directory as file."""
    before = logging.getLogger().handlers[:]
    with pytest.raises(log.CannotLog, match="cannot open log output"):
        log.setup("capnslog", "info", [str(tmp_path)])
    assert logging.getLogger().handlers == before


def test_a_line_that_cannot_be_written_is_dropped(
    monkeypatch: pytest.MonkeyPatch, root_logger: logging.Logger
) -> None:
    """Goal: a full disk or closed pipe does not stop the server; method: a failing stream."""

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())
    log.setup("capnslog", "info", ["stderr"])
    logging.getLogger("raft").info("lost")


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("DEBUG", logging.DEBUG),
        ("info", logging.INFO),
        ("Notice", NOTICE),
        ("w", logging.WARNING),
        ("0", logging.ERROR),
        ("5", log.TRACE),
        ("CRITICAL", logging.CRITICAL),
    ],
)
def test_level_at_run_time(name: str, level: int, root_logger: logging.Logger) -> None:
    """Goal: capnslog's names, as /config/local/log takes them; method: words, letters, digits."""
    log.set_level(name)
    assert root_logger.level == level


@pytest.mark.parametrize("name", ["foo", "", "warn", "fatal", "6", "-1", "DEB"])
def test_bad_level_at_run_time(name: str, root_logger: logging.Logger) -> None:
    """Goal: etcd's refusal, level unchanged; method: near misses."""
    before = root_logger.level
    with pytest.raises(log.BadLevel) as caught:
        log.set_level(name)
    assert str(caught.value) == f"Invalid log level {name}"
    assert root_logger.level == before


def test_notices_are_logged(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: what was noticed early appears once, in order; method: two notices."""
    log.setup("capnslog", "info", ["stderr"])
    log.emit([info("pkg/flags", "100%s"), warning("etcdmain", "two")])
    lines = capsys.readouterr().err.splitlines()
    assert [line[29:] for line in lines] == ["| pkg/flags: 100%s", "| etcdmain: two"]


def test_report_of_an_exit() -> None:
    """Goal: an exit's texts and notices in their places; method: console and JSON."""
    ended = Exit(1, "out\n", "plain \udcff\n", notices=(warning("etcdmain", "careful"),))
    out, err = io.StringIO(), io.StringIO()
    assert log.report(ended, out, err) == 1
    assert out.getvalue() == "out\n"
    first, second = err.getvalue().splitlines()
    assert first.endswith("W | etcdmain: careful")
    assert second == r"plain \udcff"
    err = io.StringIO()
    log.report(ended.after((), "zap"), out, err)
    assert json.loads(err.getvalue().splitlines()[0])["msg"] == "careful"
