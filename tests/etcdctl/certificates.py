"""Throw-away certificates for the kinds of servers that speak TLS."""

from pathlib import Path

import trustme

HOST = "127.0.0.1"


def make_certificates(directory: Path) -> None:
    """Write ca.crt, server.crt, server.key, client.crt and client.key."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.crt")
    for owner in ("server", "client"):
        issued = authority.issue_cert(HOST)
        issued.private_key_pem.write_to_path(directory / f"{owner}.key")
        issued.cert_chain_pems[0].write_to_path(directory / f"{owner}.crt")
