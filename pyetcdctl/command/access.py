"""What the commands about users, roles and authentication share.

Laws (contract/etcdctl.md, sections 9.15 to 9.17): operands are checked before anything is asked;
every error is printed bare and is exit 1; `--debug` names the endpoints twice, as etcdctl does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyetcdctl import answers, requests
from pyetcdctl.command.session import fail_plainly
from pyetcdctl.errors import BadAnswer, ClientError

if TYPE_CHECKING:
    from pyetcdctl.client import Client
    from pyetcdctl.command.session import Session

USERS: Final = f"{requests.AUTH}/users"
ROLES: Final = f"{requests.AUTH}/roles"
ENABLE: Final = f"{requests.AUTH}/enable"


def no_operands(session: Session) -> None:
    """End the run if there is an operand."""
    if session.operands:
        fail_plainly("No arguments accepted")


def one_operand(session: Session, complaint: str) -> str:
    """The only operand."""
    if len(session.operands) != 1:
        fail_plainly(complaint)
    return session.operands[0]


def client_of(session: Session) -> Client:
    """A client for these commands."""
    client = session.client()
    session.print_endpoints(client)
    return client


def ask(client: Client, method: str, path: str, content: Any = None) -> Any:
    """Ask, and return the answer's JSON; None if it has none."""
    try:
        body = client.plain(requests.plain(method, path, content), bytes)
    except ClientError as error:
        fail_plainly(error)
    return loaded(body) if body.strip() else None


def loaded(body: bytes) -> Any:
    """An answer's JSON."""
    try:
        return answers.load(body)
    except ClientError as error:
        fail_plainly(error)


def entry(answer: Any) -> dict[str, Any]:
    """The answer, which has to be an object."""
    if not isinstance(answer, dict):
        fail_plainly(BadAnswer.INVALID)
    return answer
