"""One level for live speech, as it comes: how loud a speech is recorded is no matter of what it says."""

from __future__ import annotations

import numpy as np

from kouxing.types import Float
from kouxing.units import HOP, SAMPLE_HZ

USUAL = 0.01
"""Mean power that speech is brought to; loud stretches count most."""
MEMORY_S = 10.0
BELIEF = 0.05
"""How much the usual power counts at the beginning, beside what was heard: as powerful a block of the usual one."""
GAINS = (0.03, 30.0)
KNOCK = 4.0
"""No block counts for more than so many times the mean: a knock is no speech, and would rule for a minute."""


class Leveller:
    """One speech being brought to ``USUAL``: what a sample becomes depends on those before, however they come.

    The mean is of the power of blocks of ``HOP`` samples, weighted by that power; within a block the gain goes evenly
    from what was known two blocks ago to what is known now, so that nothing waits.
    """

    def __init__(self) -> None:
        self._keep = np.exp(-HOP / SAMPLE_HZ / MEMORY_S)
        self._power, self._weight = BELIEF * USUAL * USUAL, BELIEF * USUAL
        self._from = self._to = 1.0
        self._block = np.zeros(0, np.float32)

    def push(self, samples: Float) -> Float:
        """``[N] float32`` at ``SAMPLE_HZ``, any N -> the same, levelled."""
        made = [np.zeros(0, np.float32)]
        while len(samples):
            place = len(self._block)
            part, samples = samples[: HOP - place], samples[HOP - place :]
            share = (np.arange(place, place + len(part), dtype=np.float32) + 1) / HOP
            made.append(part * (self._from + share * np.float32(self._to - self._from)))
            self._block = np.concatenate([self._block, part])
            if len(self._block) == HOP:
                self._learn(float(np.mean(self._block.astype(np.float64) ** 2)) + 1e-9)
                self._block = self._block[:0]
        return np.concatenate(made, dtype=np.float32)

    def _learn(self, power: float) -> None:
        power = min(power, KNOCK * self._power / self._weight)
        self._power = self._keep * self._power + power * power
        self._weight = self._keep * self._weight + power
        gain = float(np.clip(np.sqrt(USUAL * self._weight / self._power), *GAINS))
        self._from, self._to = self._to, gain
