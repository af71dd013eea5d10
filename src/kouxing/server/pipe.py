"""What server and worker processes say to each other over a worker's standard input and output."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict
from enum import IntEnum
from typing import Any

import numpy as np

from kouxing.arkit import COEFFICIENTS
from kouxing.server.faces import Manner
from kouxing.server.protocol import Rows
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ

HEAD = struct.Struct("<IBI")
"""Payload length, say, stream number."""
ROWS = struct.Struct("<qI?")
"""First row's number, rows, whether the mouth rests."""
LONGEST = 64 * 1024 * 1024


class Say(IntEnum):
    """What a message is about."""

    OPEN = 1
    SOUND = 2
    MANNER = 3
    FINISH = 4
    CLOSE = 5
    PING = 6
    READY = 16
    ROWS = 17
    DONE = 18
    PONG = 19
    FAULT = 20


def packed(say: Say, stream: int = 0, payload: bytes = b"") -> bytes:
    """One message."""
    return HEAD.pack(len(payload), say, stream) + payload


def packed_json(say: Say, stream: int, told: Any) -> bytes:
    """One message that holds JSON."""
    return packed(say, stream, json.dumps(told).encode())


def packed_rows(stream: int, rows: Rows) -> bytes:
    """One message of rows."""
    first = -(-int(rows.times[0]) * COEFFICIENT_HZ // SAMPLE_HZ)
    values = np.ascontiguousarray(rows.values, np.float32)
    return packed(Say.ROWS, stream, ROWS.pack(first, len(rows), rows.rest) + values.tobytes())


def read_rows(payload: bytes) -> tuple[int, Float, bool]:
    """First row's number, ``[n, 52]`` values, whether the mouth rests."""
    first, count, rest = ROWS.unpack_from(payload)
    values = np.frombuffer(payload, np.float32, offset=ROWS.size).reshape(count, len(COEFFICIENTS))
    return first, values, rest


def manner_told(manner: Manner) -> dict[str, Any]:
    """JSON values of a manner."""
    return asdict(manner)


def manner_of(told: dict[str, Any]) -> Manner:
    """A manner from its JSON values."""
    return Manner(tuple(told["emotion"]), told["mouth"], told["idle"], told["seed"])


class Reader:
    """Cuts a byte stream into messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Say, int, bytes]]:
        """The messages that ``data`` completes: say, stream, payload.

        Raises:
            ValueError: the other side does not speak this language.
        """
        self._held += data
        at = 0
        while len(self._held) - at >= HEAD.size:
            length, say, stream = HEAD.unpack_from(self._held, at)
            if length > LONGEST:
                raise ValueError(f"a message of {length} bytes")
            if len(self._held) - at - HEAD.size < length:
                break
            payload = bytes(self._held[at + HEAD.size : at + HEAD.size + length])
            at += HEAD.size + length
            yield Say(say), stream, payload
        del self._held[:at]
