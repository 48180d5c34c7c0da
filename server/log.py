"""Log lines: capnslog's for people, zap's JSON for machines, on the stdlib's logging.

Laws: a record is one line whatever its text holds (a line break or a terminal escape in it is
shown escaped), so nothing a client sends can forge a line; nor flood the log: of a long text the
middle is left out, and a line stays below 64 KiB. Logging never fails the process: a line that
cannot be written is dropped. Levels have etcd's names and can change at run time.
"""

import contextlib
import logging
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TextIO

import orjson

from server.notice import NOTICE, Exit, Notice

LEVELS: dict[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "dpanic": logging.CRITICAL,
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
"""The words of --log-level."""

TRACE = 5
RUNTIME_LEVELS: dict[str, int] = {
    "CRITICAL": logging.CRITICAL,
    "ERROR": logging.ERROR,
    "WARNING": logging.WARNING,
    "NOTICE": NOTICE,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
    "TRACE": TRACE,
}
"""The words of PUT /config/local/log; the first letter or (from ERROR = 0) the number will do."""

PACKAGES = {"api": "etcdhttp", "kvstore": "store", "server": "etcdmain"}
"""etcd's names for our top-level packages."""

TEXT_MAX = 8192
"""Characters of a record's text that are shown; escaped, one takes up to six bytes."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_ESCAPED = str.maketrans(
    {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
    | {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029"}
)


class BadLevel(ValueError):
    """Not a level; the message is what etcd answers."""


class CannotLog(Exception):
    """An output cannot be opened."""


class _Output(logging.StreamHandler[TextIO]):
    """A stream that drops what it cannot write: a full disk must not stop the server."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Go on without the line."""


class _File(_Output):
    """A file of ours, closed with its handler."""

    def close(self) -> None:
        """Give the file up."""
        with contextlib.suppress(OSError):
            self.stream.close()
        super().close()


class ConsoleFormatter(logging.Formatter):
    """`2026-11-22 19:36:50.123456 I | etcdserver: text`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.fromtimestamp(record.created).isoformat(" ", "microseconds")
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        text = _bounded(_full_text(self, record) + fields)
        line = f"{at} {_letter(record.levelno)} | {_package(record)}: {text}"
        return _plain(line)


class JsonFormatter(logging.Formatter):
    """zap's lines: `{"level":"info","ts":"…","caller":"…","msg":"…"}` and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "level": _zap_level(record.levelno),
            "ts": at.replace("+00:00", "Z"),
            "caller": f"{_package(record)}/{record.filename}:{record.lineno}",
            "msg": _encodable(_bounded(_full_text(self, record))),
        }
        for name, value in _fields(record).items():
            line.setdefault(name, _encodable(_bounded(str(value))))
        return orjson.dumps(line).decode()


def setup(logger: str, level: str, outputs: Sequence[str]) -> None:
    """Log to these outputs from now on, and nowhere else; raises CannotLog."""
    formatter = formatter_for(logger)
    handlers = [_handler(output, formatter) for output in outputs]
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(LEVELS[level])


def formatter_for(logger: str) -> logging.Formatter:
    """The formatter of a value of --logger."""
    return JsonFormatter() if logger == "zap" else ConsoleFormatter()


def set_level(name: str) -> None:
    """Change the level at run time, by etcd's name for it; raises BadLevel."""
    wanted = name.upper()
    for number, (word, level) in enumerate(RUNTIME_LEVELS.items(), start=-1):
        if wanted in (word, word[0], str(number)) and wanted != "-1":
            logging.getLogger().setLevel(level)
            return
    raise BadLevel(f"Invalid log level {name}")


def emit(notices: Iterable[Notice]) -> None:
    """Log what was noticed before logging was up."""
    for notice in notices:
        logging.getLogger(notice.package).log(notice.level, "%s", notice.text)


def report(outcome: Exit, stdout: TextIO = sys.stdout, stderr: TextIO = sys.stderr) -> int:
    """Print an exit's texts and notices; the exit code. For the time before `setup`."""
    formatter = formatter_for(outcome.logger)
    for notice in outcome.notices:
        record = logging.makeLogRecord(
            {"name": notice.package, "levelno": notice.level, "msg": notice.text}
        )
        stderr.write(formatter.format(record) + "\n")
    stderr.write(outcome.stderr_text.encode("utf-8", "backslashreplace").decode())
    stdout.write(outcome.stdout_text)
    return outcome.code


def _handler(output: str, formatter: logging.Formatter) -> logging.Handler:
    handler: logging.Handler
    if output in ("default", "stderr"):
        handler = _Output(sys.stderr)
    elif output == "stdout":
        handler = _Output(sys.stdout)
    else:
        try:
            handler = _File(
                open(output, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            )
        except (OSError, ValueError) as error:
            raise CannotLog(f"cannot open log output {output}: {error}") from error
    handler.setFormatter(formatter)
    return handler


def _full_text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info:
        text += "\n" + formatter.formatException(record.exc_info)
    if record.stack_info:
        text += "\n" + formatter.formatStack(record.stack_info)
    return text


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What was passed as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _bounded(text: str) -> str:
    """The text, without its middle if it is too long: a traceback says most at its end."""
    if len(text) <= TEXT_MAX:
        return text
    half = TEXT_MAX // 2
    return f"{text[:half]} ...({len(text) - 2 * half} characters)... {text[-half:]}"


def _plain(text: str) -> str:
    return _encodable(text.translate(_ESCAPED))


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _package(record: logging.LogRecord) -> str:
    top, dot, _ = record.name.partition(".")
    return PACKAGES.get(top, top) if dot or top in PACKAGES else record.name


def _letter(level: int) -> str:
    for name, threshold in RUNTIME_LEVELS.items():
        if level >= threshold:
            return name[0]
    return "T"


def _zap_level(level: int) -> str:
    for name in ("fatal", "error", "warn", "info"):
        if level >= LEVELS[name]:
            return name
    return "debug"
