"""A WAV file as speech programs write it → one that every Asterisk plays: 8 kHz, 16 bit, one channel. Pure.

Rules: what is louder than 16 bits can hold is cut off; what is above the half of the new rate is filtered out first, else
it would be heard as a whistle. A length in the header that is too large (from a program that writes to a pipe) means: to the end.
Source: RIFF/WAVE (formats 1 PCM, 3 float, 6 A-law, 7 µ-law, 0xFFFE extensible); Asterisk's format_wav takes 8 kHz alone.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from functools import lru_cache
from operator import mul

RATE = 8000
_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_REACH = 12  # samples of the slower rate to each side that the filter looks at
_CUTOFF = 0.46  # of the slower rate
_MAX_PHASES = 1024


def telephone(data: bytes) -> bytes:
    """The same sound as Asterisk plays it. Raises ValueError with what is wrong with `data`."""
    rate, samples = _decoded(data)
    if not samples:
        raise ValueError("the WAV file holds no sound")
    return _file(samples if rate == RATE else _resampled(samples, rate))


def seconds(data: bytes) -> float:
    """How long a file that `telephone` has made is."""
    return (len(data) - 44) / 2 / RATE


def _file(samples: array[int]) -> bytes:
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    sound = samples.tobytes()
    head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(sound), b"WAVEfmt ", 16, _PCM, 1, RATE, RATE * 2, 2, 16,
                       b"data", len(sound))  # fmt: skip
    return head + sound


def _decoded(data: bytes) -> tuple[int, array[int]]:
    """Rate and samples, one channel."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError(f"it is no WAV file; it begins with {data[:12]!r}")
    form: tuple[int, int, int, int] | None = None
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + size]
        if name == b"fmt " and len(body) >= 16:
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            if kind == _EXTENSIBLE and len(body) >= 26:
                kind = struct.unpack_from("<H", body, 24)[0]
            form = (kind, channels, rate, bits)
        elif name == b"data":
            if form is None:
                raise ValueError("the WAV file does not say what format it has")
            return form[2], _mono(_samples(body, form[0], form[3]), form[1])
        at += 8 + size + size % 2
    raise ValueError("the WAV file holds no sound")


def _samples(body: bytes, kind: int, bits: int) -> array[int]:
    if kind == _PCM and bits == 16:
        found = array("h", body[: len(body) & ~1])
        if sys.byteorder == "big":
            found.byteswap()
        return found
    if kind == _PCM and bits == 8:
        return array("h", [(one - 128) << 8 for one in body])
    if kind == _PCM and bits in (24, 32):
        step = bits // 8
        return array("h", [one[0] for one in struct.iter_unpack("<h", _highest(body, step))])
    if kind == _FLOAT and bits in (32, 64):
        size, code = bits // 8, "<f" if bits == 32 else "<d"
        whole = body[: len(body) // size * size]
        return array("h", [_clipped(one * 32767) for (one,) in struct.iter_unpack(code, whole)])
    if kind in (_ULAW, _ALAW) and bits == 8:
        table = [(_ulaw if kind == _ULAW else _alaw)(code) for code in range(256)]
        return array("h", [table[code] for code in body])
    raise ValueError(f"a WAV file of format {kind} with {bits} bits is not known here; PCM of 16 bits is")


def _highest(body: bytes, step: int) -> bytes:
    """The two highest bytes of each little-endian sample."""
    count = len(body) // step
    found = bytearray(2 * count)
    found[0::2] = body[step - 2 : count * step : step]
    found[1::2] = body[step - 1 : count * step : step]
    return bytes(found)


def _ulaw(code: int) -> int:
    code = ~code & 0xFF
    sample = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return 0x84 - sample if code & 0x80 else sample - 0x84


def _alaw(code: int) -> int:
    code ^= 0x55
    sample, exponent = (code & 0x0F) << 4, (code & 0x70) >> 4
    sample = sample + 8 if exponent == 0 else (sample + 0x108) << (exponent - 1)
    return sample if code & 0x80 else -sample


def _mono(samples: array[int], channels: int) -> array[int]:
    if channels <= 1:
        return samples
    parts = [samples[channel::channels] for channel in range(channels)]
    return array("h", [sum(together) // channels for together in zip(*parts, strict=False)])


def _clipped(value: float) -> int:
    return max(-32768, min(32767, round(value)))


@lru_cache(maxsize=8)
def _filters(rate: int) -> tuple[int, int, int, tuple[tuple[float, ...], ...]]:
    """From `rate`: how many outputs (`up`) for how many inputs (`down`), the reach in inputs, and one filter for each of
    the places between two inputs that an output can have: a windowed sinc.
    """
    common = math.gcd(rate, RATE)
    up, down = RATE // common, rate // common
    if up > _MAX_PHASES:
        raise ValueError(f"a rate of {rate} Hz is not known here; such as 8000, 16000, 22050, 24000, 44100, 48000 are")
    cutoff = _CUTOFF * min(1.0, RATE / rate)
    reach = math.ceil(_REACH * max(1.0, rate / RATE))
    phases = []
    for phase in range(up):
        taps = []
        for tap in range(-reach + 1, reach + 1):
            x = tap - phase / up
            sinc = 2 * cutoff if x == 0 else math.sin(2 * math.pi * cutoff * x) / (math.pi * x)
            taps.append(sinc * (0.5 + 0.5 * math.cos(math.pi * x / reach) if abs(x) < reach else 0.0))
        whole = sum(taps)
        phases.append(tuple(tap / whole for tap in taps))
    return up, down, reach, tuple(phases)


def _resampled(samples: array[int], rate: int) -> array[int]:
    if rate < 1:
        raise ValueError("the WAV file has a rate of 0 Hz")
    up, down, reach, phases = _filters(rate)
    around = array("h", bytes(2 * (reach - 1))) + samples + array("h", bytes(2 * (reach + 1)))
    width, found, place = 2 * reach, array("h"), 0
    for _ in range(max(1, len(samples) * up // down)):
        at, phase = divmod(place, up)
        value = round(sum(map(mul, phases[phase], around[at : at + width])))
        found.append(-32768 if value < -32768 else 32767 if value > 32767 else value)
        place += down
    return found
