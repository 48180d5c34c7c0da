"""The blocks of a PEM file.

Laws: what is none, or has a body that is no base64, is passed over, as Go's encoding/pem does.
"""

from __future__ import annotations

import base64
import re
from typing import Final, NamedTuple

_BLOCK: Final = re.compile(
    rb"^-----BEGIN ([^\r\n]+?)-----[ \t]*\r?$(.*?)^-----END \1-----", re.MULTILINE | re.DOTALL
)
_HEADER: Final = re.compile(rb"^[^\r\n]*:[^\r\n]*$", re.MULTILINE)


class Block(NamedTuple):
    """One block: what it says it is ("CERTIFICATE", "PRIVATE KEY", ...), and its DER."""

    kind: str
    der: bytes

    @property
    def is_key(self) -> bool:
        """Whether it says that it is a private key of some kind."""
        return self.kind == "PRIVATE KEY" or self.kind.endswith(" PRIVATE KEY")


def blocks(data: bytes) -> list[Block]:
    """All blocks of a file."""
    found = []
    for kind, body in _BLOCK.findall(data):
        text = b"".join(_HEADER.sub(b"", body).split())
        try:
            der = base64.b64decode(text, validate=True)
        except ValueError:
            continue
        found.append(Block(kind.decode("utf-8", "replace"), der))
    return found
