"""What the start has to say before logging is up, and how it ends early.

A `Notice` is a log line in waiting: option handling is a pure function, so it collects what it
wants logged and the process logs it once outputs and level are known. An `Exit` is the decision
to stop, carrying everything there is to print; nothing here prints or exits by itself.
"""

import logging
from dataclasses import dataclass

NOTICE = 25
"""etcd's level between info and warning."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One log line to be: a level of the logging module, etcd's package name, the text."""

    level: int
    package: str
    text: str


def info(package: str, text: str) -> Notice:
    """A line that needs no reaction."""
    return Notice(logging.INFO, package, text)


def warning(package: str, text: str) -> Notice:
    """A line that says something is not as asked for."""
    return Notice(logging.WARNING, package, text)


class Exit(Exception):
    """The process should print these texts, log these notices and end with this code."""

    def __init__(
        self,
        code: int,
        stdout_text: str = "",
        stderr_text: str = "",
        *,
        notices: tuple[Notice, ...] = (),
        logger: str = "capnslog",
    ) -> None:
        super().__init__(code, stdout_text, stderr_text, notices)
        self.code = code
        self.stdout_text = stdout_text
        self.stderr_text = stderr_text
        self.notices = notices
        self.logger = logger
        """The value of `--logger` as far as it was known: the notices' format."""

    def after(self, notices: tuple[Notice, ...], logger: str) -> "Exit":
        """The same exit with what was noticed before it put in front."""
        return Exit(
            self.code,
            self.stdout_text,
            self.stderr_text,
            notices=notices + self.notices,
            logger=logger,
        )
