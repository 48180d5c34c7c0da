"""Certificates and keys a client is given.

Laws: files are looked at before the first request, and what is wrong with them is said in Go's
words. A CA file without anything in it trusts nobody, one with anything else than certificates is
refused. Without one, the system's are trusted. A server's certificate has to name it as an
alternative name: a common name does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyetcdctl import pem
from pyetcdctl.errors import BadTLS, in_words

if TYPE_CHECKING:
    import ssl


_CERTIFICATE: Final = "CERTIFICATE"
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME.
_NO_CHECK_TIME: Final = 0x200000


class TLS(NamedTuple):
    """Paths of PEM files; "" for none. `server_name`: what certificates have to be for, if not for
    the host that is connected to.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""

    def check(self) -> None:
        """Raise BadTLS for files that are missing or do not belong together."""
        if bool(self.cert_file) != bool(self.key_file):
            raise BadTLS(
                "KeyFile and CertFile must both be present"
                f"[key: {self.key_file}, cert: {self.cert_file}]"
            )
        for path in (self.cert_file, self.key_file, self.ca_file):
            if path:
                _read(path)
        if self.cert_file or self.ca_file:
            self.context()

    def context(self) -> ssl.SSLContext:
        """What connections are made with. Raises BadTLS."""
        import ssl

        context = (
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if self.ca_file
            else ssl.create_default_context()
        )
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.hostname_checks_common_name = False
        if self.cert_file:
            _show(context, self.cert_file, self.key_file)
        if self.ca_file:
            _trust(context, self.ca_file)
        return context

    def second_look(self) -> ssl.SSLContext:
        """To see a certificate that was refused: neither its names nor its times count, so nothing
        may be said on what is connected with this. Raises BadTLS.
        """
        context = self.context()
        context.check_hostname = False
        context.verify_flags |= _NO_CHECK_TIME
        return context


def _show(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """Let it show our certificate to who asks for one."""
    import ssl

    try:
        context.load_cert_chain(cert_file, key_file, password=_no_password)
    except ssl.SSLError as error:
        raise BadTLS(_wrong_pair(_read(cert_file), _read(key_file), error.reason)) from None
    except OSError as error:
        raise BadTLS(f"open {cert_file}: {in_words(error)}") from None
    except ValueError:
        raise BadTLS(f"tls: the key in {key_file} needs a password") from None


def _trust(context: ssl.SSLContext, path: str) -> None:
    """Let it trust the certificates of a file."""
    for block in pem.blocks(_read(path)):
        if not _is_certificate(block, context):
            part = "" if block.kind == _CERTIFICATE else "tbs "
            raise BadTLS(f"x509: malformed {part}certificate")


def _is_certificate(block: pem.Block, context: ssl.SSLContext) -> bool:
    """Whether it is one; then the context trusts it."""
    import ssl

    try:
        context.load_verify_locations(cadata=block.der)
    except (ssl.SSLError, ValueError):  # ValueError: it is empty
        return False
    return True


def _wrong_pair(cert: bytes, key: bytes, reason: str | None) -> str:
    """What is wrong with a certificate's and a key's file that OpenSSL refuses, in Go's words."""
    import ssl

    certs = [block for block in pem.blocks(cert) if block.kind == _CERTIFICATE]
    if not certs:
        return f"tls: failed to find {_instead_of_certificate(pem.blocks(cert))}"
    if not any(block.is_key for block in pem.blocks(key)):
        return f"tls: {_instead_of_key(pem.blocks(key))}"
    if reason == "NO_CERTIFICATE_ASSIGNED":  # none for keys of this kind
        return "tls: private key type does not match public key type"
    if reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        return "tls: private key does not match public key"
    if not _is_certificate(certs[0], ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)):
        return "x509: malformed certificate"
    return "tls: failed to parse private key"


def _instead_of_certificate(found: list[pem.Block]) -> str:
    if not found:
        return "any PEM data in certificate input"
    if len(found) == 1 and found[0].is_key:
        return (
            "certificate PEM data in certificate input, but did find a private key; "
            "PEM inputs may have been switched"
        )
    return (
        '"CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following '
        f"types: {_kinds(found)}"
    )


def _instead_of_key(found: list[pem.Block]) -> str:
    if not found:
        return "failed to find any PEM data in key input"
    if [block.kind for block in found] == [_CERTIFICATE]:
        return "found a certificate rather than a key in the PEM for the private key"
    return (
        'failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping '
        f"PEM blocks of the following types: {_kinds(found)}"
    )


def _kinds(found: list[pem.Block]) -> str:
    return f"[{' '.join(block.kind for block in found)}]"


def _no_password() -> str:
    raise ValueError("nobody knows the password")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        verb = "read" if isinstance(error, IsADirectoryError) else "open"  # as Go has it
        raise BadTLS(f"{verb} {path}: {in_words(error)}") from None
