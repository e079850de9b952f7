"""How long a stored recording is, from the size of its file: Asterisk's `duration` is cut off to whole seconds. Pure.

Source: Asterisk's format modules: bytes a second, and the head of the file.
"""

from __future__ import annotations

_BYTES: dict[str, tuple[int, float]] = {
    "wav": (44, 16_000), "wav16": (44, 32_000), "WAV": (60, 1625), "wav49": (60, 1625), "gsm": (0, 1650),
    "ulaw": (0, 8000), "alaw": (0, 8000), "g722": (0, 8000), "sln": (0, 16_000), "slin": (0, 16_000),
    "sln12": (0, 24_000), "sln16": (0, 32_000), "sln24": (0, 48_000), "sln32": (0, 64_000), "sln44": (0, 88_200),
    "sln48": (0, 96_000), "sln96": (0, 192_000), "sln192": (0, 384_000),
}  # fmt: skip


def seconds_of(format: str, size: int) -> float | None:
    """Of a file of `size` bytes; None for a format whose size does not tell."""
    if format not in _BYTES:
        return None
    head, rate = _BYTES[format]
    return round(max(0, size - head) / rate, 3)
