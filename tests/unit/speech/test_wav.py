"""Whatever a speech program writes, Asterisk gets 8 kHz, 16 bit, one channel: the same sound, without what it cannot hold."""

from __future__ import annotations

import math
import struct
from array import array

import pytest

from hookrouter.speech.wav import seconds, telephone


def wav(samples: bytes, kind: int, channels: int, rate: int, bits: int, *, lie: bool = False, before: bytes = b"") -> bytes:
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    if kind == 0xFFFE:
        form += struct.pack("<HHIH", 22, bits, 0, 1) + bytes(14)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + before
    length = 0x7FFFF000 if lie else len(samples)
    return b"RIFF" + struct.pack("<I", len(samples)) + body + b"data" + struct.pack("<I", length) + samples


def tone(hertz: float, rate: int, length: float = 0.5) -> list[float]:
    return [0.5 * math.sin(2 * math.pi * hertz * i / rate) for i in range(int(rate * length))]


def heard(data: bytes, hertz: float) -> float:
    """How loud a frequency is in what was made, of full scale."""
    samples = array("h", data[44:])[400:-400]
    step = 2j * math.pi * hertz / 8000
    total = sum(sample * math.e ** (-step * i) for i, sample in enumerate(samples))
    return 2 * abs(total) / len(samples) / 32768


def pcm16(samples: list[float]) -> bytes:
    return array("h", [round(sample * 32767) for sample in samples]).tobytes()


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000])
@pytest.mark.parametrize("lie", [False, True], ids=["", "written to a pipe"])
def test_every_rate_becomes_telephone_quality(rate: int, lie: bool) -> None:
    """A tone is as loud as it was and no other comes up; the length is the same."""
    made = telephone(wav(pcm16(tone(1000, rate)), 1, 1, rate, 16, lie=lie))
    assert struct.unpack_from("<HHIIHH", made, 20) == (1, 1, 8000, 16000, 2, 16)
    assert seconds(made) == pytest.approx(0.5, abs=0.002)
    assert heard(made, 1000) == pytest.approx(0.5, abs=0.01)
    assert heard(made, 2500) < 0.005


def test_what_the_telephone_cannot_hold_is_filtered_out() -> None:
    """6 kHz would be heard as a whistle at 2 kHz."""
    made = telephone(wav(pcm16(tone(6000, 22050)), 1, 1, 22050, 16))
    assert max(heard(made, hertz) for hertz in (2000, 1000, 3000)) < 0.005


@pytest.mark.parametrize(
    ("kind", "bits", "pack"),
    [
        pytest.param(1, 8, lambda s: bytes(round(x * 127) + 128 for x in s), id="8 bit"),
        pytest.param(1, 24, lambda s: b"".join(round(x * 8388607).to_bytes(3, "little", signed=True) for x in s), id="24 bit"),
        pytest.param(1, 32, lambda s: struct.pack(f"<{len(s)}i", *(round(x * 2147483647) for x in s)), id="32 bit"),
        pytest.param(3, 32, lambda s: struct.pack(f"<{len(s)}f", *s), id="float"),
        pytest.param(3, 64, lambda s: struct.pack(f"<{len(s)}d", *s), id="double"),
        pytest.param(0xFFFE, 16, pcm16, id="extensible"),
    ],
)
def test_every_way_to_write_a_sample(kind: int, bits: int, pack: object) -> None:
    """As loud as it was."""
    made = telephone(wav(pack(tone(700, 16000)), kind, 1, 16000, bits))  # type: ignore[operator]
    assert heard(made, 700) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("kind", "code", "sample"), [(7, 0x80, 32124), (7, 0xFF, 0), (6, 0xAA, 32256), (6, 0xD5, 8)])
def test_codes_of_the_telephone_itself(kind: int, code: int, sample: int) -> None:
    """µ-law and A-law."""
    assert array("h", telephone(wav(bytes([code] * 80), kind, 1, 8000, 8))[44:])[0] == sample


def test_two_channels_become_one_and_other_chunks_are_passed_over() -> None:
    """Left and right, half of each; a chunk of odd length has a byte of padding."""
    samples = [x for pair in zip(tone(500, 8000), tone(1500, 8000), strict=True) for x in pair]
    made = telephone(wav(pcm16(samples), 1, 2, 8000, 16, before=b"LIST\x03\x00\x00\x00abc\x00"))
    assert heard(made, 500) == pytest.approx(0.25, abs=0.01)
    assert heard(made, 1500) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(b"ID3\x04 an mp3", "no WAV file", id="mp3"),
        pytest.param(b"RIFF\x00\x00\x00\x00WAVE", "no sound", id="empty"),
        pytest.param(wav(b"", 1, 1, 8000, 16), "no sound", id="no samples"),
        pytest.param(wav(bytes(99), 85, 1, 8000, 16), "format 85", id="mp3 in a WAV"),
        pytest.param(wav(bytes(99), 1, 1, 0, 16), "0 Hz", id="no rate"),
        pytest.param(wav(bytes(99), 1, 1, 22051, 16), "22051 Hz", id="an odd rate"),
        pytest.param(b"RIFF\x00\x00\x00\x00WAVEdata\x02\x00\x00\x00ab", "what format", id="no format"),
    ],
)
def test_what_cannot_be_played_is_told(data: bytes, told: str) -> None:
    """In words."""
    with pytest.raises(ValueError, match=told):
        telephone(data)
