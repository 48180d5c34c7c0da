"""auth enable and auth disable (contract/etcdctl.md, section 9.17)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyetcdctl.command import access, output
from pyetcdctl.command.access import ENABLE, ask, client_of

if TYPE_CHECKING:
    from pyetcdctl.command.session import Session


def enable(session: Session) -> None:
    """From now on, ask who it is."""
    access.no_operands(session)
    ask(client_of(session), "PUT", ENABLE)
    output.out("Authentication Enabled\n")


def disable(session: Session) -> None:
    """Ask nobody any more."""
    access.no_operands(session)
    ask(client_of(session), "DELETE", ENABLE)
    output.out("Authentication Disabled\n")
