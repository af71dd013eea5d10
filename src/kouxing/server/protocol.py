"""The live protocol's bytes (docs/protocol.md): pure codecs, no clock, no network.

Whatever comes from outside goes through ``decode`` and the ``read_…`` functions, which raise ``Refused`` for all that
is not exactly as documented; nothing else is ever raised for bad bytes.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import COEFFICIENTS, ROTATIONS
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ

VERSION = 1
HEADER = struct.Struct("<BBHIqI")
"""Version, type, flags, sequence, time, payload length."""
ROWS_HEAD = struct.Struct("<HBB")
"""Rows, width, encoding."""

MOST_SAMPLES = SAMPLE_HZ
MOST_ROWS = 600
MOST_EVENT_BYTES = 16_384
MOST_PING_BYTES = 64
MOST_TIME = 2**53
"""Times stay whole numbers in JavaScript."""
MOST_SEQUENCE = 2**32 - 1

REST = 1
"""Flag of ROWS: the mouth rests."""
MADE = 1
"""Flag of SOUND: speech made from text."""

FLOAT32, U16 = 0, 1
ENCODINGS = {"float32": FLOAT32, "u16": U16}
FULL = 65_535
SHAPES = {
    (len(COEFFICIENTS), FLOAT32),
    (len(COEFFICIENTS), U16),
    (len(COEFFICIENTS) + len(ROTATIONS), FLOAT32),
}
"""Width and encoding of rows."""
MOST_TURN = 6.3

CLOSES = {
    "malformed": 4400,
    "token": 4401,
    "origin": 4403,
    "session": 4404,
    "version": 4406,
    "timeout": 4408,
    "taken": 4409,
    "large": 4413,
    "busy": 4429,
    "fault": 4500,
}
"""Code of a fatal error -> the WebSocket's close code."""

Times = NDArray[np.int64]
Sound = NDArray[np.int16]


class Kind(IntEnum):
    """Type of a frame."""

    SOUND = 1
    ROWS = 2
    EVENT = 3
    PING = 4
    PONG = 5


FLAGS = {Kind.SOUND: MADE, Kind.ROWS: REST, Kind.EVENT: 0, Kind.PING: 0, Kind.PONG: 0}
"""The bits that a frame may set."""


class Refused(Exception):
    """What came does not fit the protocol, or is not allowed. ``str(error)`` is one line.

    Attributes:
        code: one of ``CLOSES``, or ``refused`` for what disturbs nothing else.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code

    @property
    def close(self) -> int:
        """The WebSocket's close code."""
        return CLOSES.get(self.code, CLOSES["malformed"])


@dataclass(frozen=True)
class Frame:
    """One binary message.

    Attributes:
        kind: its type.
        payload: the bytes behind the header.
        time: in samples at 16 kHz.
        sequence: its number; 0 for PING and PONG.
        flags: bits, see ``FLAGS``.
    """

    kind: Kind
    payload: bytes
    time: int = 0
    sequence: int = 0
    flags: int = 0


@dataclass(frozen=True)
class Rows:
    """Coefficients with their times.

    Attributes:
        times: ``[n] int64`` samples at 16 kHz, not falling.
        values: ``[n, 52] float32``, 0..1, columns as ``arkit.COEFFICIENTS``.
        rest: the mouth rests.
        turns: ``[n, 9] float32`` radians as ``arkit.ROTATIONS``, where motion capture tells them.
    """

    times: Times
    values: Float
    rest: bool = False
    turns: Float | None = None

    def __len__(self) -> int:
        return len(self.times)


def row_time(number: int) -> int:
    """Time of row ``number`` of a session, in samples."""
    return number * SAMPLE_HZ // COEFFICIENT_HZ


def row_at(time: int) -> int:
    """Number of the first row at or after ``time`` samples."""
    return -(-time * COEFFICIENT_HZ // SAMPLE_HZ)


def encode(frame: Frame) -> bytes:
    """A frame's bytes."""
    head = HEADER.pack(VERSION, frame.kind, frame.flags, frame.sequence, frame.time, len(frame.payload))
    return head + frame.payload


def decode(data: bytes) -> Frame:
    """Read one message; its payload is not looked into.

    Raises:
        Refused: too short, another version, unknown type or flag, a length that is not the payload's, a time or a
            sequence number out of range.
    """
    if len(data) < HEADER.size:
        raise Refused("malformed", f"a frame has at least {HEADER.size} bytes, this one {len(data)}")
    version, number, flags, sequence, time, length = HEADER.unpack_from(data)
    if data[:1] == b"{":
        raise Refused("malformed", "JSON in a binary message; after the hello it travels in EVENT frames")
    if version != VERSION:
        raise Refused("version", f"frame of protocol version {version}; this server speaks {VERSION}")
    try:
        kind = Kind(number)
    except ValueError:
        raise Refused("malformed", f"unknown frame type {number}") from None
    if flags & ~FLAGS[kind]:
        raise Refused("malformed", f"unknown flags {flags:#06x} in a frame of type {kind.name}")
    if length != len(data) - HEADER.size:
        raise Refused("malformed", f"the header tells {length} bytes, {len(data) - HEADER.size} follow")
    if not 0 <= time <= MOST_TIME:
        raise Refused("malformed", f"time {time} is not within 0..2^53")
    if (sequence == 0) != (kind in (Kind.PING, Kind.PONG)):
        raise Refused("malformed", f"sequence number {sequence} in a frame of type {kind.name}")
    return Frame(kind, data[HEADER.size :], time, sequence, flags)


def to_s16(samples: Float) -> Sound:
    """``[N] float32``, -1..1 -> ``[N] int16``; what lies outside is cut off."""
    return np.asarray(np.clip(np.rint(samples * 32768.0), -32768, 32767), np.int16)


def to_float(sound: Sound) -> Float:
    """``[N] int16`` -> ``[N] float32``, -1..1."""
    return sound.astype(np.float32) / np.float32(32768)


def sound_bytes(sound: Sound) -> bytes:
    """Payload of a SOUND frame, ``[N] int16``."""
    return sound.astype("<i2", copy=False).tobytes()


def read_sound(frame: Frame) -> Sound:
    """Samples of a SOUND frame, ``[N] int16``.

    Raises:
        Refused: none, half ones, or too many.
    """
    size = len(frame.payload)
    if size == 0 or size % 2 or size // 2 > MOST_SAMPLES:
        raise Refused("malformed", f"SOUND holds 1 to {MOST_SAMPLES} samples of 2 bytes, this one {size} bytes")
    return np.frombuffer(frame.payload, "<i2").astype(np.int16, copy=False)


def rows_bytes(rows: Rows, encoding: int = FLOAT32) -> bytes:
    """Payload of a ROWS frame whose header's time is the first row's.

    Args:
        rows: 1 to ``MOST_ROWS``; those with turns go as float32.
        encoding: ``FLOAT32`` or ``U16``.
    """
    values = rows.values if rows.turns is None else np.concatenate([rows.values, rows.turns], 1)
    count, width = values.shape
    if encoding == U16 and rows.turns is None:
        body = np.rint(np.clip(values, 0, 1) * FULL).astype("<u2").tobytes()
    else:
        encoding, body = FLOAT32, values.astype("<f4", copy=False).tobytes()
    offsets = (rows.times - rows.times[0]).astype("<u4").tobytes()
    return ROWS_HEAD.pack(count, width, encoding) + offsets + body


def read_rows(frame: Frame) -> Rows:
    """Rows of a ROWS frame.

    Raises:
        Refused: a wrong count, width, encoding or length; falling times; values that are no numbers or outside 0..1,
            turns outside a circle.
    """
    data = frame.payload
    if len(data) < ROWS_HEAD.size:
        raise Refused("malformed", f"ROWS has at least {ROWS_HEAD.size} bytes, this one {len(data)}")
    count, width, encoding = ROWS_HEAD.unpack_from(data)
    if not 1 <= count <= MOST_ROWS or (width, encoding) not in SHAPES:
        raise Refused("malformed", f"ROWS of {count} rows, {width} numbers each, encoding {encoding}")
    each = 2 if encoding == U16 else 4
    if len(data) != ROWS_HEAD.size + count * (4 + width * each):
        raise Refused("malformed", f"ROWS of {count} rows cannot have {len(data)} bytes")
    offsets = np.frombuffer(data, "<u4", count, ROWS_HEAD.size).astype(np.int64)
    if offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise Refused("malformed", "times of ROWS start at 0 and do not fall")
    kind = "<u2" if encoding == U16 else "<f4"
    held = np.frombuffer(data, kind, count * width, ROWS_HEAD.size + 4 * count).reshape(count, width)
    held = held.astype(np.float32) / np.float32(FULL) if encoding == U16 else held.astype(np.float32)
    values, turns = held[:, : len(COEFFICIENTS)], held[:, len(COEFFICIENTS) :]
    # Written so that NaN fails too.
    if not (values.min() >= 0 and values.max() <= 1):
        raise Refused("malformed", "values of ROWS lie within 0..1")
    if turns.size and not np.abs(turns).max() <= MOST_TURN:
        raise Refused("malformed", "turns of ROWS lie within -2π..2π")
    return Rows(frame.time + offsets, values, bool(frame.flags & REST), turns if turns.size else None)


def event_bytes(event: Mapping[str, Any]) -> bytes:
    """Payload of an EVENT frame."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def read_event(frame: Frame) -> dict[str, Any]:
    """The object of an EVENT frame; only that it is one and names its ``event`` is checked.

    Raises:
        Refused: too long, or no such JSON object.
    """
    if len(frame.payload) > MOST_EVENT_BYTES:
        raise Refused("malformed", f"an event has at most {MOST_EVENT_BYTES} bytes, this one {len(frame.payload)}")
    told = read_object(frame.payload, "an event")
    if not isinstance(told.get("event"), str):
        raise Refused("malformed", 'an event names itself: {"event": "…"}')
    return told


def read_object(data: bytes | str, what: str) -> dict[str, Any]:
    """A JSON object; no NaN, no infinity, no numbers or nesting that Python's reader cannot hold.

    Raises:
        Refused: it is none.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
        told = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        # An escaped half of a surrogate pair is JSON but no text; it could never be sent on.
        json.dumps(told, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refused("malformed", f"{what} is one JSON object in UTF-8") from None
    if not isinstance(told, dict):
        raise Refused("malformed", f"{what} is one JSON object in UTF-8")
    return told


def _no_number(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
