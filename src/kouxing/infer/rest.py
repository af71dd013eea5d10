"""Lips that touch and stay still while nobody speaks, in a stream: the level tells, a few frames ahead."""

from __future__ import annotations

import numpy as np

from kouxing.arkit import PLACE
from kouxing.audio.silence import FLOOR_DB, SHORT_S, frame_levels, silent_limit
from kouxing.face.closure import lip_distance
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

MEMORY = 10 * FRAME_HZ
"""Frames (10 s) over which loud and quiet are told apart."""
BEGINNING, FAINT_DB = 5 * FRAME_HZ, -40.0
"""In its first 5 s a stream may not have heard speech yet: what stays under this is taken for the room."""
SHORTEST = int(np.ceil(SHORT_S * FRAME_HZ))
"""Frames of a pause in which lips rest; shorter ones are part of speech."""
MEL_LIMITS = (0.07, 0.12)
"""Lip distances: in silence lips touch under the first; over the second they are heard open (noise, a whisper) and stay
as they are."""
FRONT_LIMITS = (0.12, 0.3)
"""The same where sound is heard through the front: it opens lips ahead of the voice as people do, and noise hardly
moves them."""


class Rest:
    """Shuts the lips of one stream's rows where the sound is silent.

    Args:
        ahead: whole frames of sound after a row's own that are known when it is made. What a row becomes depends on
            those and no others, so that chunks do not matter.
        limits: ``MEL_LIMITS`` or ``FRONT_LIMITS``.
    """

    def __init__(self, ahead: int, limits: tuple[float, float] = MEL_LIMITS) -> None:
        self._ahead = ahead
        self._under, self._over = limits
        self._levels = np.zeros(0, np.float32)
        self._first = 0
        self._part = np.zeros(0, np.float32)
        self._row = 0

    def hear(self, samples: Float) -> None:
        """Take ``[N]`` samples at ``SAMPLE_HZ``."""
        held = np.concatenate([self._part, samples])
        whole = len(held) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        self._levels = np.concatenate([self._levels, frame_levels(held[:whole], SAMPLE_HZ)])
        self._part = held[whole:]

    def finish(self) -> None:
        """The sound is over: what is left of it is a frame as well."""
        self._levels = np.concatenate([self._levels, frame_levels(self._part, SAMPLE_HZ)])
        self._part = self._part[:0]

    def shut(self, rows: Float) -> Float:
        """The next rows ``[n, 52]`` of the stream, their lips shut in silence."""
        silent = np.array([self._silent(self._row + place) for place in range(len(rows))], bool)
        self._row += len(rows)
        # Levels that no later row asks for are forgotten.
        spare = self._row - MEMORY - self._first
        if spare > 0:
            self._levels, self._first = self._levels[spare:], self._first + spare
        if not silent.any():
            return rows
        distance = lip_distance(rows)
        share = np.clip((self._over - distance) / (self._over - self._under), 0, 1) * silent
        return nearer(rows, share * np.maximum(distance, 0))

    def _silent(self, row: int) -> bool:
        known = self._levels[max(0, row - MEMORY - self._first) : row + self._ahead + 1 - self._first]
        here = row - max(row - MEMORY, self._first)
        if here >= len(known):
            # Behind the end of the sound.
            return True
        only_room = row < BEGINNING and np.percentile(known, 95) < FAINT_DB
        quiet = known < (FAINT_DB if only_room else max(FLOOR_DB, silent_limit(known)))
        return _in_pause(quiet, here)


def _in_pause(quiet: Bool, place: int) -> bool:
    """Whether ``place`` lies in a pause; one that may go on beyond what is known counts as long enough."""
    if not quiet[place]:
        return False
    breaks = np.flatnonzero(~quiet)
    before = breaks[breaks < place]
    after = breaks[breaks > place]
    first = before[-1] + 1 if len(before) else 0
    return not len(after) or int(after[0] - first) >= SHORTEST


def nearer(rows: Float, by: Float) -> Float:
    """Rows ``[n, 52]`` with the lips nearer by ``[n]``: the jaw goes up, and where it cannot, the lips follow.

    Where ``by`` is negative it goes down, and the lips follow beyond its end.
    """
    made = rows.copy()
    jaw = np.clip(rows[:, PLACE["jawOpen"]] - by, 0, 1)
    left = by - (rows[:, PLACE["jawOpen"]] - jaw)
    made[:, PLACE["jawOpen"]] = jaw
    made[:, PLACE["mouthClose"]] = np.clip(rows[:, PLACE["mouthClose"]] + left, 0, 1)
    return made
