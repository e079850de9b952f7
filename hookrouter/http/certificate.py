"""From when to when a certificate is valid, read from its DER form. Pure.

Source: RFC 5280, 4.1: Certificate, TBSCertificate, Validity.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

import msgspec

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERAL_TIME = 0x30, 0xA0, 0x17, 0x18


class Validity(msgspec.Struct, frozen=True):
    """Seconds since the epoch."""

    since: float
    until: float


def read_validity(pem: bytes) -> Validity | None:
    """Of the first certificate in it; None where it cannot be read."""
    found = _PEM.search(pem)
    if found is None:
        return None
    try:
        der = base64.b64decode(found[1])
        _, certificate, _ = _element(der)
        _, body, _ = _element(certificate)
        tag, _, rest = _element(body)
        if tag == _VERSION:
            _, _, rest = _element(rest)  # the serial number
        _, _, rest = _element(rest)  # the algorithm
        _, _, rest = _element(rest)  # the issuer
        _, validity, _ = _element(rest)
        tag, since, rest = _element(validity)
        later, until, _ = _element(rest)
        return Validity(_time(tag, since), _time(later, until))
    except (ValueError, IndexError, binascii.Error):
        return None


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Its tag, what is in it, and what comes after it. Raises IndexError, ValueError."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError("cut off")
    return tag, data[start : start + length], data[start + length :]


def _time(tag: int, value: bytes) -> float:
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    elif tag != _GENERAL_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
