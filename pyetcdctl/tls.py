"""Certificates and keys a client is given.

Laws: files are looked at before the first request, and what is wrong with them is said in Go's
words. A CA file without a certificate in it trusts nobody. Without one, the system's are trusted.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pyetcdctl.errors import BadTLS, in_words

if TYPE_CHECKING:
    import ssl


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
                _look(path)
        if self.cert_file or self.ca_file:
            self.context()

    def context(self) -> ssl.SSLContext:
        """What connections are made with."""
        import ssl

        if self.ca_file:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            with suppress(OSError):  # then it trusts nobody
                context.load_verify_locations(self.ca_file)
        else:
            context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.cert_file:
            try:
                context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
            except ssl.SSLError as error:
                if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
                    raise BadTLS("tls: private key does not match public key") from None
                raise BadTLS("tls: failed to find any PEM data in certificate input") from None
            except ValueError:
                raise BadTLS(f"tls: the key in {self.key_file} needs a password") from None
        return context


def _no_password() -> str:
    raise ValueError("nobody knows the password")


def _look(path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        verb = "read" if isinstance(error, IsADirectoryError) else "open"  # as Go has it
        raise BadTLS(f"{verb} {path}: {in_words(error)}") from None
