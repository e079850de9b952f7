"""Whom we trust when we connect by TLS, what we show there, and what a failure means in words.

Rules:
- Certificates are always checked, names too; there is no way to leave it out. `ca_file` names whom to trust instead of the
  system's authorities.
- Files are read again when they have changed: a renewed certificate counts from the next connection on.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from functools import lru_cache

import certifi
import msgspec


class Trust(msgspec.Struct, frozen=True):
    """Paths; empty: the system's authorities, no certificate of ours. `key` may be in `certificate`."""

    ca_file: str = ""
    certificate: str = ""
    key: str = ""
    pinned: bool = False  # `ca_file` is the certificate itself: trusted whatever name it is for, and nothing else


SYSTEM = Trust()

_EXPIRED, _EARLY, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
_UNKNOWN = {2, 18, 19, 20, 21}
_PLAIN = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"}
_WANTS_OURS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE", "TLSV1_ALERT_UNKNOWN_CA",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "SSLV3_ALERT_CERTIFICATE_EXPIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "TLSV1_ALERT_ACCESS_DENIED",
}  # fmt: skip
_OLD = {"TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_SHARED_CIPHER", "DH_KEY_TOO_SMALL"}


def client_context(trust: Trust = SYSTEM) -> ssl.SSLContext:
    """What a connection is made with. Raises OSError (ssl.SSLError is one) where a file is not what it should be."""
    paths = ssl.get_default_verify_paths()
    files = (trust.ca_file or paths.cafile or "", trust.certificate, trust.key)
    return _context(trust, tuple((path, os.stat(path).st_mtime_ns) for path in files if path))


@lru_cache(maxsize=256)
def _context(trust: Trust, stamps: tuple[tuple[str, int], ...]) -> ssl.SSLContext:
    if trust.ca_file:
        context = ssl.create_default_context(cafile=trust.ca_file)
    else:
        context = ssl.create_default_context()
        paths = ssl.get_default_verify_paths()
        if not paths.cafile and not (paths.capath and os.listdir(paths.capath)):
            context.load_verify_locations(certifi.where())  # a small image without the system's certificates
    context.set_alpn_protocols(["http/1.1"])
    if trust.pinned:
        context.check_hostname = False
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if trust.certificate:
        context.load_cert_chain(trust.certificate, trust.key or None, password=_no_password)
    return context


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """What our own HTTP is served with: TLS 1.2 or newer. Raises OSError, ValueError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key or None, password=_no_password)
    return context


def renew(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Takes the certificate up again, for the connections to come. Raises OSError, ValueError; then the old one stays."""
    server_context(certificate, key)
    context.load_cert_chain(certificate, key or None, password=_no_password)


def _no_password() -> str:
    raise ValueError("the key is encrypted: a router that starts by itself cannot be asked for its password")


def explain(error: BaseException | None, where: str) -> str:
    """What a failed handshake with `where` (host and port) means, and what to do; empty: it is no matter of TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error, where)
    if not isinstance(error, ssl.SSLError):
        return ""
    reason = error.reason or ""
    if reason in _PLAIN:
        return f"{where} speaks plain HTTP there, not TLS: write http:// in its url, or name its TLS port"
    if reason in _WANTS_OURS:
        return (
            f"{where} refuses our certificate, or wants one ({reason.lower()}): give `client_certificate` and `client_key` "
            "of an authority that it trusts"
        )
    if reason in _OLD:
        return f"{where} and we have no version of TLS in common ({reason.lower()}): it has to speak TLS 1.2 or newer"
    return f"the TLS handshake with {where} failed: {reason.lower() or error}"


def no_connection(error: BaseException, where: str) -> str:
    """Why nobody could be reached at `where` (host and port), without the numbers of the system."""
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {where} (connection refused)"
    if isinstance(error, socket.gaierror):
        return f"no address is known for the name in {where} ({(error.strerror or 'unknown').lower()})"
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return f"{where} cannot be reached ({os.strerror(error.errno).lower()})"
    return str(error) or type(error).__name__


def refused_by_client(error: ssl.SSLError) -> str:
    """What it means that a client ended a handshake with us."""
    reason = error.reason or ""
    if reason == "TLSV1_ALERT_UNKNOWN_CA":
        return "the client does not know the authority of our certificate: give it that authority's"
    if reason in ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_CERTIFICATE_UNKNOWN"):
        return "the client does not accept our certificate: has it expired, and is it for the name that the client asks for?"
    if reason in _OLD:
        return "the client has no version of TLS that we speak: it has to be 1.2 or newer"
    return reason.lower().replace("_", " ") or str(error)


def _certificate(error: ssl.SSLCertVerificationError, where: str) -> str:
    code = error.verify_code
    whose = f"the certificate of {where}"
    if code == _EXPIRED:
        return f"{whose} has expired: renew it there"
    if code == _EARLY:
        return f"{whose} is not valid yet: is the clock right, here and there?"
    if code in _UNKNOWN:
        return f"{whose} is from an authority that is not known here: give that authority's certificate as `ca_file`"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"{whose} is for another name: write a name in the url that it is for, or have one made for this name"
    return f"{whose} is not accepted: {error.verify_message}"


def speaks_tls(data: bytes | bytearray) -> bool:
    """Whether the first bytes of an answer to plain HTTP are those of TLS (an alert, a handshake)."""
    return len(data) >= 3 and data[0] in (0x15, 0x16) and data[1] == 3


def closed_at_once(tls: bool) -> str:
    """What it may mean that a new connection is closed before a byte of an answer. `tls`: it had been agreed upon."""
    if tls:
        return "it closed the connection at once: if it wants a certificate of ours, give `client_certificate` and `client_key`"
    return "it closed the connection at once: if it speaks TLS at this port, write https:// in its url"


SPEAKS_TLS = "it speaks TLS at this port, not plain HTTP: write https:// in its url"

__all__ = [
    "SPEAKS_TLS",
    "SYSTEM",
    "Trust",
    "client_context",
    "closed_at_once",
    "explain",
    "refused_by_client",
    "renew",
    "server_context",
    "speaks_tls",
]
