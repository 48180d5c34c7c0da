"""Cases in which a difference is meant, each with the reason.

Laws: a case that is listed must differ: once it does not, the line has to go.
"""

from collections.abc import Mapping

_ARGUED: Mapping[tuple[str, str], Mapping[str, str]] = {}
"""By client and server, by the case's name."""


def argued(client: str, server: str) -> Mapping[str, str]:
    """The reasons for what differs with this client and server, by the case's name."""
    return _ARGUED.get((client, server), {})
