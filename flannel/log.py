"""Log lines as glog writes them: `I1122 19:27:58.366791   25085 daemon.py:304] text`.

Laws: a record is one line on stderr, of bounded length, whatever is in its text; a line that cannot
be written is dropped.
"""

import logging
import os
import sys
from datetime import datetime
from typing import TextIO

LETTERS = {
    logging.DEBUG: "I",
    logging.INFO: "I",
    logging.WARNING: "W",
    logging.ERROR: "E",
    logging.CRITICAL: "F",
}
TEXT_MAX = 4000
"""Characters: a foreign value may be as long as its writer likes."""
_ESCAPED = str.maketrans(
    {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
    | {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}
)


class _Lines(logging.StreamHandler[TextIO]):
    """A stream that drops what it cannot write."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Go on without the line."""


class GlogFormatter(logging.Formatter):
    """The line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, process, place and text."""
        at = datetime.fromtimestamp(record.created).strftime("%m%d %H:%M:%S.%f")
        text = super().format(record).rstrip("\n")
        if len(text) > TEXT_MAX:
            text = f"{text[:TEXT_MAX]}... ({len(text)} characters)"
        text = text.translate(_ESCAPED)
        letter = LETTERS.get(record.levelno, "I")
        return f"{letter}{at} {os.getpid():7d} {record.filename}:{record.lineno}] {text}"


def setup(verbosity: int) -> None:
    """Log to stderr, debug lines too if `verbosity` is above 0."""
    handler = _Lines(sys.stderr)
    handler.setFormatter(GlogFormatter())
    root = logging.getLogger("flannel")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(logging.DEBUG if verbosity > 0 else logging.INFO)
