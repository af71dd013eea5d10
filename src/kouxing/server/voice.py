"""Does somebody speak? By the level of the sound, in a stream, with a look ahead and a hangover."""

from __future__ import annotations

import numpy as np

from kouxing.audio.silence import FLOOR_DB, silent_limit
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ, exact

BLOCK = exact(SAMPLE_HZ, 50)
"""Samples (20 ms) of one level."""
MEMORY = exact(10 * SAMPLE_HZ, BLOCK)
"""Levels (10 s) over which loud and quiet are told apart."""
BEGINNING, FAINT_DB = exact(5 * SAMPLE_HZ, BLOCK), -40.0
"""In its first 5 s a stream may not have heard speech yet: what stays under this is taken for the room."""
HANG = exact(SAMPLE_HZ, 4)
"""Samples (250 ms) of quiet after which nobody speaks: shorter pauses are part of speech."""
EVERY = 5
"""Levels (0.1 s) after which loud and quiet are judged anew."""
RISE, FALL = exact(SAMPLE_HZ, 25), exact(SAMPLE_HZ, 8)
"""Samples in which the face comes to speak (40 ms) and to rest (125 ms)."""


class Voice:
    """Levels of one stream, and how much of the speaking face is to be seen when.

    Sound is pushed before the rows that it belongs to are asked for; what is known beyond a row lets the mouth open in
    time.
    """

    def __init__(self) -> None:
        self._part = np.zeros(0, np.float32)
        self._levels: list[float] = []
        self._blocks = 0
        self._loud: list[int] = []
        self._limit = FAINT_DB

    def push(self, samples: Float) -> None:
        """Take ``[N]`` samples at ``SAMPLE_HZ``."""
        held = np.concatenate([self._part, samples]) if len(self._part) else samples
        count = len(held) // BLOCK
        self._part = held[count * BLOCK :]
        if not count:
            return
        blocks = held[: count * BLOCK].reshape(count, BLOCK).astype(np.float64)
        levels = 10 * np.log10(np.maximum(np.mean(blocks * blocks, 1), 1e-12))
        for level in levels.tolist():
            self._levels.append(level)
            # The limit moves slowly; judged anew every few levels it is the same for pieces of any size.
            if self._blocks % EVERY == 0:
                self._limit = self._judged()
            if level >= self._limit:
                self._loud.append(self._blocks)
            self._blocks += 1
        del self._levels[:-MEMORY]
        # Rows are never asked for further back than a few seconds.
        first = self._blocks - MEMORY
        if self._loud and self._loud[0] < first:
            self._loud = [block for block in self._loud if block >= first]

    def _judged(self) -> float:
        known = np.array(self._levels[-MEMORY:], np.float32)
        if self._blocks < BEGINNING and np.percentile(known, 95) < FAINT_DB:
            return FAINT_DB
        return max(FLOOR_DB, silent_limit(known))

    def speaks(self, times: Float) -> Float:
        """How much somebody speaks at ``[n]`` times (samples since the stream's beginning): ``[n] float32``, 0..1.

        Exactly 0 from ``HANG + FALL`` after the last loud block until ``RISE`` before the next.
        """
        at = np.asarray(times, np.float64)
        if not self._loud:
            return np.zeros(len(at), np.float32)
        starts = np.array(self._loud, np.float64) * BLOCK
        place = np.searchsorted(starts, at, side="right")
        since = at - np.where(place > 0, starts[np.maximum(place - 1, 0)] + BLOCK, -np.inf)
        until = np.where(place < len(starts), starts[np.minimum(place, len(starts) - 1)], np.inf) - at
        fall = 1 - np.clip((since - HANG) / FALL, 0, 1)
        rise = 1 - np.clip(until / RISE, 0, 1)
        # A pause that is over before the hangover has run out is no pause.
        whole = np.where(since + until <= HANG, 1.0, 0.0)
        share = np.maximum(np.maximum(fall, rise), whole)
        return np.asarray(share * share * (3 - 2 * share), np.float32)
