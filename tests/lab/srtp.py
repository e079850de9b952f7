"""SRTP for the lab's phones: AES_CM_128_HMAC_SHA1_80 with keys from the SDP, as long as a test's calls are.

Rule: sequence numbers do not wrap within a call here, so that the roll-over counter stays 0.
Source: RFC 3711, RFC 4568.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hmac
import secrets
from base64 import b64decode, b64encode

SUITE = "AES_CM_128_HMAC_SHA1_80"
_TAG = 10
_crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_ctr"):
    getattr(_crypto, _name).restype = ctypes.c_void_p


def _keystream(key: bytes, start: int, length: int) -> bytes:
    """AES in counter mode, from the counter `start`."""
    context = ctypes.c_void_p(_crypto.EVP_CIPHER_CTX_new())
    found, size = ctypes.create_string_buffer(length + 16), ctypes.c_int()
    _crypto.EVP_EncryptInit_ex(context, ctypes.c_void_p(_crypto.EVP_aes_128_ctr()), None, key, start.to_bytes(16, "big"))
    _crypto.EVP_EncryptUpdate(context, found, ctypes.byref(size), bytes(length), length)
    _crypto.EVP_CIPHER_CTX_free(context)
    return found.raw[:length]


class Srtp:
    """One direction. `key`: 16 bytes of key and 14 of salt; None: a fresh one."""

    def __init__(self, key: bytes | None = None) -> None:
        self.key = key or secrets.token_bytes(30)
        master, salt = self.key[:16], int.from_bytes(self.key[16:], "big")
        session, self._auth, salted = (
            _keystream(master, (salt ^ (label << 48)) << 16, length) for label, length in ((0, 16), (1, 20), (2, 14))
        )
        self._session, self._salt = session, int.from_bytes(salted, "big")

    @classmethod
    def read(cls, inline: str) -> Srtp:
        """From what stands behind `inline:` in the SDP."""
        return cls(b64decode(inline.partition("|")[0]))

    @property
    def inline(self) -> str:
        return b64encode(self.key).decode()

    def _crypt(self, packet: bytes) -> bytes:
        """The payload, of a packet whose header has no extension and no list of sources."""
        sequence, source = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
        start = (self._salt << 16) ^ (source << 64) ^ (sequence << 16)
        body = packet[12:]
        return packet[:12] + bytes(a ^ b for a, b in zip(body, _keystream(self._session, start, len(body)), strict=True))

    def protect(self, packet: bytes) -> bytes:
        sealed = self._crypt(packet)
        return sealed + self._tag(sealed)

    def unprotect(self, packet: bytes) -> bytes | None:
        """None where it was not made with this key."""
        sealed, tag = packet[:-_TAG], packet[-_TAG:]
        return self._crypt(sealed) if hmac.compare_digest(self._tag(sealed), tag) else None

    def _tag(self, sealed: bytes) -> bytes:
        return hmac.digest(self._auth, sealed + bytes(4), "sha1")[:_TAG]
