"""What a broken law looks like."""

from __future__ import annotations

from typing import Protocol


class Violation(AssertionError):
    """A law was broken: which one, and how."""

    def __init__(self, law: str, detail: str) -> None:
        super().__init__(f"{law}: {detail}")
        self.law = law
        self.detail = detail


class Accuse(Protocol):
    """How a law that was broken is reported; does not return."""

    def __call__(self, law: str, detail: str) -> None: ...
