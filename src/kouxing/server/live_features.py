"""Live speech -> the features around a picture: as ``infer.speech.hear``, but block by block and in constant memory."""

from __future__ import annotations

import numpy as np

from kouxing.audio.encoder import SpeechEncoder, SpeechStream, around
from kouxing.audio.features import LEAD
from kouxing.audio.silence import FLOOR_DB, SHORT_S, frame_levels, silent_limit
from kouxing.face.nearness import touching
from kouxing.infer.rest import BEGINNING, FAINT_DB, MEMORY
from kouxing.infer.speech import REST_FRAMES, WAKE_FRAMES
from kouxing.infer.timeline import SELECTED
from kouxing.types import Float
from kouxing.units import FRAME_HZ, HOP, SAMPLE_HZ, SAMPLES_PER_FRAME

KNOWN = 3
"""Blocks after a block's own that are heard before it is told whether it is silent."""
ROWS_AHEAD = 2
"""Of the five that a picture looks at: 120 ms less delay, and a mouth that differs by a sixth of what a picture's step
changes in it (docs/log.md)."""
KEPT = 4 * SELECTED
"""Rows that are kept: those a picture asks for and some more."""
ASLEEP = 2 * FRAME_HZ
"""After so many blocks (2 s) of nothing at all the encoder rests; it wakes up at its beginning."""
SHORTEST = int(np.ceil(SHORT_S * FRAME_HZ))
NOTHING_DB = -120.0


class LiveFeatures:
    """One speech being heard, in blocks of a picture (40 ms).

    Args:
        encoder: the speech encoder.
        rows_ahead: rows after a picture's own that it waits for, 0..5; those behind are taken to be like the last one.

    Attributes:
        ahead: blocks after picture n's own that must be heard before ``window(n)``.
    """

    def __init__(self, encoder: SpeechEncoder, rows_ahead: int = ROWS_AHEAD) -> None:
        self._encoder = encoder
        self._rows_ahead = rows_ahead
        # A row needs the mel frames behind its own, and these stand out by half a window.
        _, behind = around(encoder.dimensions)
        waits = -(-(behind * HOP + LEAD) // SAMPLES_PER_FRAME)
        self.ahead = rows_ahead + max(waits, WAKE_FRAMES + KNOWN)
        self._width = int(encoder.dimensions["features"])
        self._stream: SpeechStream | None = None
        self._row = 0
        self._heard = self._nothing = self._first = self._floor = 0
        self._rows = np.zeros((0, self._width), np.float32)
        self._levels: list[float] = []
        self._silent: list[bool] = []

    def hear(self, block: Float) -> None:
        """Take the next ``[640] float32`` samples at ``SAMPLE_HZ``."""
        if block.shape != (SAMPLES_PER_FRAME,):
            raise ValueError(f"a block is [{SAMPLES_PER_FRAME}], got {block.shape}")
        self._nothing = 0 if block.any() else self._nothing + 1
        self._rows = np.concatenate([self._rows, np.zeros((1, self._width), np.float32)])
        if self._nothing > ASLEEP or (self._stream is None and self._nothing):
            self._stream = None
        else:
            if self._stream is None:
                self._stream, self._row = self._encoder.stream(), self._heard
            self._put(self._stream.push(block))
        self._levels.append(float(frame_levels(block, SAMPLE_HZ)[0]))
        self._heard += 1
        self._judge()
        self._forget()

    def cut(self, number: int) -> None:
        """An interruption: from block ``number`` on there was silence, and the mouth rests from the next picture on."""
        self._floor = max(number, self._floor)
        self._rows[max(number - self._first, 0) :] = 0
        self._stream, self._row = None, self._heard
        loud = min(self._heard - number, len(self._levels))
        if loud > 0:
            self._levels[-loud:] = [NOTHING_DB] * loud

    def window(self, number: int) -> Float:
        """The features around picture ``number``, ``[11, 16] float32``; zeros where the mouth rests.

        Raises:
            ValueError: its sound was not heard yet, or is forgotten.
        """
        if not self._first <= max(number - SELECTED // 2, 0) or number + self.ahead >= self._heard:
            raise ValueError(f"picture {number} is asked for after {self._heard} blocks")
        made = np.zeros((SELECTED, self._width), np.float32)
        for place in range(SELECTED // 2 + 1 + self._rows_ahead):
            row = number + place - SELECTED // 2
            if row < 0 or (row < self._floor < number):
                continue
            made[place] = self._rows[row - self._first] * self._gain(row)
        made[place + 1 :] = made[place]
        # The picture of an interruption itself is half way.
        return made / 2 if number == self._floor and number else made

    def _put(self, rows: Float) -> None:
        """Rows that the stream completed; what lies before the last interruption stays as it is."""
        for row in rows:
            if self._row - self._first >= 0:
                self._rows[self._row - self._first] = touching(row)
            self._row += 1

    def _gain(self, row: int) -> float:
        """As ``infer.speech.calm``: 1 in speech, 0 in silence, with short ramps between."""
        if not self._is_silent(row):
            return 1.0
        after = next((n for n in range(1, REST_FRAMES + 1) if not self._is_silent(row - n)), REST_FRAMES)
        before = next((n for n in range(1, WAKE_FRAMES + 1) if not self._is_silent(row + n)), WAKE_FRAMES)
        return max(0.0, 1 - after / REST_FRAMES, 1 - before / WAKE_FRAMES)

    def _is_silent(self, row: int) -> bool:
        return row < self._first or self._silent[row - self._first]

    def _judge(self) -> None:
        """Tell of the block that is now ``KNOWN`` blocks back whether it is silent."""
        row = self._heard - 1 - KNOWN
        if row < 0:
            return
        levels = np.array(self._levels, np.float32)
        here = len(levels) - 1 - KNOWN
        only_room = row < BEGINNING and np.percentile(levels, 95) < FAINT_DB
        quiet = levels < (FAINT_DB if only_room else max(FLOOR_DB, silent_limit(levels)))
        silent = bool(quiet[here])
        if silent:
            # A pause that is not long yet may be part of speech: the mouth then stays with what is heard.
            loud = np.flatnonzero(~quiet)
            before, after = loud[loud < here], loud[loud > here]
            first = int(before[-1]) + 1 if len(before) else here + 1 - SHORTEST
            silent = (int(after[0]) if len(after) else len(quiet)) - first >= SHORTEST
        self._silent.append(silent)

    def _forget(self) -> None:
        spare = len(self._rows) - KEPT - self.ahead
        if spare > 0:
            self._rows, self._silent = self._rows[spare:], self._silent[spare:]
            self._first += spare
        if len(self._levels) > MEMORY + KNOWN + 1:
            del self._levels[: -(MEMORY + KNOWN + 1)]
