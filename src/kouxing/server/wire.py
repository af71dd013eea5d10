"""A session's items -> numbered frames for one terminal, the last of them kept for a connection that breaks."""

from __future__ import annotations

from collections import deque

import numpy as np

from kouxing.server.outlet import Event, Item, SoundBlock
from kouxing.server.protocol import (
    FLOAT32,
    MADE,
    MOST_SAMPLES,
    REST,
    Frame,
    Kind,
    Rows,
    encode,
    event_bytes,
    rows_bytes,
    sound_bytes,
)
from kouxing.units import SAMPLE_HZ

MOST_FRAMES = 4096
PASSING = ("body",)
"""Events that come again and again by themselves: old ones are of no use to anybody."""


class Wire:
    """Encoder with a memory.

    Args:
        encoding: of rows.
        keep_s: how long frames are kept, by the session's clock.
        rotations: whether rows carry the captured turns of head and eyes, where there are any.
    """

    def __init__(self, encoding: int = FLOAT32, keep_s: float = 10.0, rotations: bool = False) -> None:
        self._encoding = encoding
        self._keep = round(keep_s * SAMPLE_HZ)
        self._rotations = rotations
        self._kept: deque[tuple[int, int, bytes]] = deque()
        self._passing: deque[int] = deque(maxlen=MOST_FRAMES)
        self.sequence = 0

    def frames(self, item: Item, now: int) -> list[bytes]:
        """The messages of an item; ``now`` is the session's time."""
        if isinstance(item, Event) and item.told["event"] in PASSING:
            data = self.last(item)
            self._passing.append(self.sequence)
            return [data]
        return [self._numbered(kind, payload, time, flags, now) for kind, payload, time, flags in self._parts(item)]

    def last(self, event: Event) -> bytes:
        """The last frame of a connection, or one that only its moment needs: it is numbered, but not kept."""
        self.sequence += 1
        return encode(Frame(Kind.EVENT, event_bytes(event.told), max(0, event.time), self.sequence))

    def since(self, last: int) -> tuple[list[bytes], int]:
        """Kept messages behind number ``last``, and how many there are lost."""
        waiting = [data for number, _, data in self._kept if number > last]
        passed = sum(number > last for number in self._passing)
        return waiting, max(0, self.sequence - last - len(waiting) - passed)

    def _parts(self, item: Item) -> list[tuple[Kind, bytes, int, int]]:
        if isinstance(item, Rows):
            if item.turns is not None and not self._rotations:
                item = Rows(item.times, item.values, item.rest)
            return [(Kind.ROWS, rows_bytes(item, self._encoding), int(item.times[0]), REST * item.rest)]
        if isinstance(item, SoundBlock):
            parts = [item.sound[at : at + MOST_SAMPLES] for at in range(0, len(item.sound), MOST_SAMPLES)]
            starts = item.time + np.arange(len(parts)) * MOST_SAMPLES
            return [
                (Kind.SOUND, sound_bytes(part), int(start), MADE * item.made)
                for part, start in zip(parts, starts, strict=True)
            ]
        assert isinstance(item, Event)
        return [(Kind.EVENT, event_bytes(item.told), item.time, 0)]

    def _numbered(self, kind: Kind, payload: bytes, time: int, flags: int, now: int) -> bytes:
        self.sequence += 1
        data = encode(Frame(kind, payload, max(0, time), self.sequence, flags))
        self._kept.append((self.sequence, now, data))
        while now - self._kept[0][1] > self._keep or len(self._kept) > MOST_FRAMES:
            self._kept.popleft()
        return data
