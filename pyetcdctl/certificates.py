"""Why a server's certificate is refused, in Go's words.

Laws: OpenSSL decides, this only names what it has found; what cannot be named is "". As in Go,
times are told before names.
"""

from __future__ import annotations

import ipaddress
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pyetcdctl import authority

if TYPE_CHECKING:
    from collections.abc import Mapping

# OpenSSL's numbers (openssl/x509_vfy.h).
OF_TIMES: Final = (9, 10)
OF_NAMES: Final = (62, 64)


def refusal(certificate: Mapping[str, Any], host: str, verify_code: int) -> str:
    """What is wrong with one for a host, as OpenSSL's number says; `certificate` is what
    ssl.SSLSocket.getpeercert gives.
    """
    if not certificate:
        return ""
    told = _of_times(certificate, time.time())
    if not told and verify_code in OF_NAMES:
        told = _of_names(certificate, host)
    return told


def _of_times(certificate: Mapping[str, Any], now_s: float) -> str:
    import ssl

    begins_s = ssl.cert_time_to_seconds(certificate["notBefore"])
    ends_s = ssl.cert_time_to_seconds(certificate["notAfter"])
    if begins_s <= now_s <= ends_s:
        return ""
    # Go has its own clock's zone in the first time, and the certificate's in the second.
    now = _shown(datetime.fromtimestamp(int(now_s)).astimezone())
    then_s, how = (begins_s, "before") if now_s < begins_s else (ends_s, "after")
    then = _shown(datetime.fromtimestamp(then_s, UTC))
    return f"certificate has expired or is not yet valid: current time {now} is {how} {then}"


def _shown(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _of_names(certificate: Mapping[str, Any], host: str) -> str:
    names = certificate.get("subjectAltName", ())
    subject = [each for part in certificate.get("subject", ()) for each in part]
    common = [value for kind, value in subject if kind == "commonName"]
    if not names and any(_fits(name, host) for name in common):
        return "certificate relies on legacy Common Name field, use SANs instead"
    if authority.is_address(host):
        listed = [_address(value) for kind, value in names if kind == "IP Address"]
        if not listed:
            return f"cannot validate certificate for {host} because it doesn't contain any IP SANs"
    else:
        listed = [value for kind, value in names if kind == "DNS"]
    if not listed:
        return f"certificate is not valid for any names, but wanted to match {host}"
    return f"certificate is valid for {', '.join(listed)}, not {host}"


def _fits(name: str, host: str) -> bool:
    """Whether a name, or one with a star for its first part, is a host's."""
    name, host = name.lower(), host.lower().removesuffix(".")
    return name == host or (name.startswith("*.") and name[1:] == host[host.find(".") :])


def _address(text: str) -> str:
    """An address as Go has it: OpenSSL writes IPv6 out."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return text
