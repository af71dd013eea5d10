"""The sound that waits for its turn in a session: bounded, in order, with what the client's counter tells about it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kouxing.server.protocol import Sound
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ, exact

LAID = exact(SAMPLE_HZ, 10)
"""Samples (0.1 s) that are handed on at a time when more wait."""
MOST_GAP = 2 * SAMPLE_HZ
"""Samples missing in the client's count that are taken for lost packets and filled with silence."""


@dataclass(frozen=True)
class Block:
    """Something that waits for its turn.

    Attributes:
        sound: ``[N] int16``; none at all stands for the end of what came before.
        input: the client's count of the first sample.
        anew: it does not follow what came before.
        source: ``sound`` (from the client) or ``text``.
        text: of an event that goes out when the block begins.
        rows, contact: from the block's beginning on, what the text's speaker told of the mouth (``server.told``).
    """

    sound: Sound
    input: int | None = None
    anew: bool = False
    source: str = "sound"
    text: dict[str, Any] | None = None
    rows: Float | None = None
    contact: Float | None = None


END = Block(np.zeros(0, np.int16))


class Intake:
    """A queue of blocks.

    Args:
        most_s: seconds of the client's sound that may wait.
    """

    def __init__(self, most_s: float) -> None:
        self._most = round(most_s * SAMPLE_HZ)
        self._blocks: deque[Block] = deque()
        self._next: int | None = None
        self._hole = False
        self.samples = 0

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def take(self, sound: Sound, count: int | None, filled: int = 0) -> str | None:
        """Take the client's sound, ``[N] int16``.

        Args:
            sound: N >= 1.
            count: the client's count of its first sample; None: it follows what came before.
            filled: samples of silence that have been heard since what came before.

        Returns:
            Why it was not taken (``duplicate``, ``queue``), or None.
        """
        known = self._next
        at = count if count is not None else known or 0
        gap = 0 if known is None else at - known
        if -MOST_GAP <= gap < 0:
            return "duplicate"
        anew = known is None or self._hole or not 0 <= gap <= MOST_GAP
        missing = 0 if anew else max(gap - filled, 0)
        self._next = at + len(sound)
        if self.samples + missing + len(sound) > self._most:
            # What comes next stands elsewhere than its count tells.
            self._hole = True
            return "queue"
        self._hole = False
        if missing:
            self.add(Block(np.zeros(missing, np.int16), at - missing))
        self.add(Block(sound, at, anew))
        return None

    def add(self, block: Block) -> None:
        """Put a block behind the others."""
        self._blocks.append(block)
        self.samples += len(block.sound)

    def end(self) -> None:
        """What waits is the last for now; the client's counter may begin anew."""
        self._blocks.append(END)
        self._next = None

    def forget(self) -> None:
        """The client's counter may begin anew."""
        self._next, self._hole = None, False

    def clear(self) -> None:
        """Forget all."""
        self._blocks.clear()
        self._next, self.samples = None, 0

    def skip(self, samples: int) -> int:
        """Forget up to so many samples of the client's sound, the oldest; gives how many. What follows begins anew."""
        gone = 0
        while self._blocks and gone < samples:
            block = self._blocks[0]
            if block.source != "sound" or not len(block.sound):
                break
            self._blocks.popleft()
            gone += len(block.sound)
        self.samples -= gone
        if gone and self._blocks and len(self._blocks[0].sound):
            self._blocks[0] = replace(self._blocks[0], anew=True)
        elif gone:
            self._hole = True
        return gone

    @property
    def ends(self) -> bool:
        """Whether the next block is an end."""
        return bool(self._blocks) and not len(self._blocks[0].sound)

    def next(self) -> Block:
        """Take the next block out, at most ``LAID`` samples of it."""
        block = self._blocks.popleft()
        if len(block.sound) > LAID:
            later = None if block.input is None else block.input + LAID
            rest = replace(block, sound=block.sound[LAID:], input=later, anew=False, text=None, rows=None, contact=None)
            self._blocks.appendleft(rest)
            block = replace(block, sound=block.sound[:LAID])
        self.samples -= len(block.sound)
        return block
