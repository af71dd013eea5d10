"""WAV bytes of a stranger -> samples.

A pure function: whatever comes, it answers with sound or with a ``ValueError``.
"""

from __future__ import annotations

import struct

import numpy as np

from kouxing.types import AudioClip, Float

LEAST_HZ, MOST_HZ = 8_000, 192_000
MOST_CHANNELS = 8
LONGEST_S = 300
"""Of one answer, which is a sentence or two."""
PCM, FLOATS, EXTENSIBLE = 1, 3, 0xFFFE
UNKNOWN = 0x7FFF0000
"""From this length on, and at 0, the program did not know it (streams): the rest of the file is meant."""


def read_wav(content: bytes) -> AudioClip:
    """Read PCM of 8, 16, 24 or 32 bits or floats of 32 or 64, any channels mixed to one.

    A ``data`` part of unknown length goes to the end of the bytes.

    Raises:
        ValueError: no WAV, another coding, cut short, no samples, longer than ``LONGEST_S``, or samples not finite.
    """
    if len(content) < 12 or content[:4] not in (b"RIFF", b"RF64") or content[8:12] != b"WAVE":
        raise ValueError("no WAV")
    form: tuple[int, int, int, int] | None = None
    at = 12
    while at + 8 <= len(content):
        name, (length,) = content[at : at + 4], struct.unpack_from("<I", content, at + 4)
        at += 8
        if name == b"data":
            if form is None:
                raise ValueError("samples before their format")
            known = 0 < length < UNKNOWN
            if known and length > len(content) - at:
                raise ValueError(f"a WAV cut short: {len(content) - at} of {length} bytes")
            return _clip(content[at : at + length] if known else content[at:], *form)
        if name == b"fmt ":
            form = _form(content[at : at + length])
        at += length + length % 2
    raise ValueError("a WAV without samples")


def _form(told: bytes) -> tuple[int, int, int, int]:
    """(coding, channels, samples per second, bits)."""
    if len(told) < 16:
        raise ValueError("a format that is cut short")
    coding, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", told)
    if coding == EXTENSIBLE and len(told) >= 26:
        (coding,) = struct.unpack_from("<H", told, 24)
    if (coding, bits) not in {(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOATS, 32), (FLOATS, 64)}:
        raise ValueError(f"coding {coding} with {bits} bits; PCM or float is wanted")
    if not 1 <= channels <= MOST_CHANNELS or not LEAST_HZ <= rate_hz <= MOST_HZ:
        raise ValueError(f"{channels} channels at {rate_hz} Hz")
    return coding, channels, rate_hz, bits


def _clip(raw: bytes, coding: int, channels: int, rate_hz: int, bits: int) -> AudioClip:
    whole = len(raw) // (channels * bits // 8)
    if not whole:
        raise ValueError("a WAV without samples")
    if whole > LONGEST_S * rate_hz:
        raise ValueError(f"{whole / rate_hz:.0f} s of sound; {LONGEST_S} s at most")
    numbers = _numbers(raw[: whole * channels * bits // 8], coding, bits)
    samples = numbers.reshape(whole, channels).mean(1, dtype=np.float32)
    if not np.isfinite(samples).all():
        raise ValueError("samples that are no finite numbers")
    return AudioClip(np.clip(samples, -1, 1), rate_hz)


def _numbers(raw: bytes, coding: int, bits: int) -> Float:
    if coding == FLOATS:
        # A double may be too large for a float: it becomes infinite, and is refused.
        with np.errstate(over="ignore"):
            return np.frombuffer(raw, f"<f{bits // 8}").astype(np.float32)
    if bits == 8:
        return (np.frombuffer(raw, np.uint8).astype(np.float32) - 128) / 128
    if bits == 24:
        bytes_ = np.frombuffer(raw, np.uint8).reshape(-1, 3).astype(np.int32)
        whole = bytes_[:, 0] | bytes_[:, 1] << 8 | bytes_[:, 2] << 16
        return ((whole ^ 0x800000) - 0x800000).astype(np.float32) / 0x800000
    return (np.frombuffer(raw, f"<i{bits // 8}").astype(np.float64) / 2.0 ** (bits - 1)).astype(np.float32)
