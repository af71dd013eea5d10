"""The sound of a rendered stream: pushed as it comes, taken in blocks of one picture, some time ahead of playing.

A block that was taken stands for a picture's 40 ms and is never changed, but by an interruption: what the mouth does
depends on sound that is only played later.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from kouxing.types import Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

LONGEST_S = 300
"""Speech that may wait; what is pushed beyond it is refused."""
LIVE_S = 0.4
"""Of a source in real time no more waits than this."""
HURRY = 3 * SAMPLES_PER_FRAME
QUIET = 0.01
"""Where a source in real time has so many samples waiting, blocks that are no louder than this are left out."""
START = 2 * SAMPLES_PER_FRAME
"""Samples that must wait before a speech begins, so that a source in real time does not break off at once."""
PATIENCE = FRAME_HZ // 5
"""Blocks (200 ms) that a speech which broke off is waited for; then it is taken to be over."""
FADE = SAMPLE_HZ // 200
"""Samples (5 ms) in which an interrupted sound fades."""


@dataclass
class Counts:
    """What became of the sound: samples refused, blocks that a speech did not arrive in time for, and silent blocks
    left out to keep up with a source in real time."""

    refused: int = 0
    underruns: int = 0
    hurried: int = 0


class Playout:
    """Sound waiting to be played, and the blocks that were taken but not played yet.

    Args:
        ahead: blocks that are taken before their time.
    """

    def __init__(self, ahead: int) -> None:
        self.ahead = ahead
        self.counts = Counts()
        self.taken = 0
        self._waiting: deque[Float] = deque()
        self._held = 0
        self._live = False
        self._speaking = False
        self._ended = True
        self._missed = 0
        self._blocks: deque[Float] = deque()
        self._first = 0

    @property
    def waiting_s(self) -> float:
        """Seconds of sound that no block holds yet."""
        return self._held / SAMPLE_HZ

    def push(self, samples: Float, live: bool = False) -> int:
        """Add ``[N] float32`` samples at ``SAMPLE_HZ``; the number that found room.

        Args:
            samples: speech.
            live: of a source in real time, whose clock is not ours: little waits, and in its pauses we catch up.
        """
        if live and not self._live and (self._held or not self._ended):
            # A text or a file is being said: a microphone that is open beside it is not laid into its pauses.
            self.counts.refused += len(samples)
            return 0
        self._live = live
        room = max(int((LIVE_S if live else LONGEST_S) * SAMPLE_HZ) - self._held, 0)
        kept = np.array(samples[:room], np.float32)
        self.counts.refused += len(samples) - len(kept)
        if len(kept):
            self._waiting.append(kept)
            self._held += len(kept)
            self._ended = False
        return len(kept)

    def end(self) -> None:
        """The speech is complete: its last part of a block is not waited for."""
        self._ended = True

    def interrupt(self, number: int) -> None:
        """Forget what waits, and silence from block ``number`` on, fading at its beginning."""
        self._waiting.clear()
        self._held, self._speaking, self._ended, self._missed = 0, False, True, 0
        for place in range(max(number, self._first), self.taken):
            block = np.zeros(SAMPLES_PER_FRAME, np.float32)
            if place == number:
                fade = np.linspace(1, 0, FADE, dtype=np.float32)
                block[:FADE] = self._blocks[place - self._first][:FADE] * fade
            self._blocks[place - self._first] = block

    def take(self) -> Float:
        """The next block, ``[640] float32``: speech, or silence while there is none."""
        block = self._next()
        self._blocks.append(block)
        self.taken += 1
        return block

    def played(self, number: int) -> Float:
        """Block ``number``, which is due now; earlier ones are forgotten.

        Raises:
            IndexError: it was not taken yet, or forgotten.
        """
        while self._first < number and self._blocks:
            self._blocks.popleft()
            self._first += 1
        if not (self._first == number and self._blocks):
            raise IndexError(f"block {number} is not held")
        return self._blocks[0]

    def _next(self) -> Float:
        if not self._speaking:
            self._speaking = self._held > 0 and (self._ended or self._held >= START)
        if not self._speaking:
            return self._silence_before()
        if self._held >= SAMPLES_PER_FRAME:
            self._missed = 0
            block = self._cut(SAMPLES_PER_FRAME)
            if self._live and self._held >= HURRY and np.abs(block).max() < QUIET:
                self.counts.hurried += 1
                block = self._cut(SAMPLES_PER_FRAME)
            return block
        if self._ended or self._missed >= PATIENCE:
            self._speaking, self._ended, self._missed = False, True, 0
            rest = self._cut(self._held)
            return np.concatenate([rest, np.zeros(SAMPLES_PER_FRAME - len(rest), np.float32)])
        self._missed += 1
        self.counts.underruns += 1
        return np.zeros(SAMPLES_PER_FRAME, np.float32)

    def _silence_before(self) -> Float:
        # A scrap too short to begin with is not kept for ever.
        self._missed = self._missed + 1 if self._held else 0
        if self._missed > PATIENCE:
            self._ended = True
        return np.zeros(SAMPLES_PER_FRAME, np.float32)

    def _cut(self, count: int) -> Float:
        parts: list[Float] = []
        left = count
        while left:
            head = self._waiting.popleft()
            parts.append(head[:left])
            if len(head) > left:
                self._waiting.appendleft(head[left:])
            left -= len(parts[-1])
        self._held -= count
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)
