"""What goes wrong with TLS on a connection, in Go's words.

Laws: an error of OpenSSL's is told by the reason it names, also where a library has made an OSError
of it: its number is no errno.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pyetcdctl.errors import ConnectionEnded, EndpointFailed, TLSFailed

if TYPE_CHECKING:
    import ssl

# How Python begins the text of one: "[SSL: REASON] reason (_ssl.c:1)", or "[SSL] ..." without.
_REASON: Final = re.compile(r"\[[A-Z0-9 ]+(?:: (\w+))?\] ")
_ALERTS: Final = {
    "unknown ca": "unknown certificate authority",
    "certificate unknown": "unknown certificate",
    "certificate expired": "expired certificate",
}
NOT_TLS: Final = "tls: first record does not look like a TLS handshake"
_UNKNOWN_AUTHORITY: Final = "certificate signed by unknown authority"
# OpenSSL's numbers (openssl/x509_vfy.h).
_VERIFICATION: Final = {
    2: _UNKNOWN_AUTHORITY,
    9: "certificate has expired or is not yet valid",
    10: "certificate has expired or is not yet valid",
    18: _UNKNOWN_AUTHORITY,
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    26: "certificate specifies an incompatible key usage",
}


def is_one(error: OSError) -> bool:
    """Whether an error is OpenSSL's, as it was raised or with its words in another one's."""
    if type(error).__module__ == "ssl":
        return True
    return isinstance(error.strerror, str) and _REASON.match(error.strerror) is not None


def failure(error: OSError) -> EndpointFailed:
    """What one is called."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return TLSFailed(f"x509: {_verification(error)}")
    named = _REASON.match(error.strerror or "")
    reason = (named and named[1]) or ""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or "EOF" in reason:
        return ConnectionEnded("EOF")
    if "ALERT_" in reason:
        alert = reason.partition("ALERT_")[2].lower().replace("_", " ")
        return TLSFailed(f"remote error: tls: {_ALERTS.get(alert, alert)}")
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return TLSFailed(NOT_TLS)
    return TLSFailed(f"tls: {(reason or str(error)).lower().replace('_', ' ')}")


def _verification(error: ssl.SSLCertVerificationError) -> str:
    return _VERIFICATION.get(error.verify_code, error.verify_message)
