"""What went through a session, and what of it was lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kouxing.units import SAMPLE_HZ, exact

LOST_EVERY = exact(SAMPLE_HZ, 4)
"""Samples (0.25 s) between two reports of sound that was not taken."""


@dataclass
class Counts:
    """Sums since the session began: samples, rows sent, samples not taken, interruptions."""

    heard: int = 0
    rows: int = 0
    dropped: int = 0
    interrupts: int = 0
    _lost: Counter[str] = field(default_factory=Counter)
    _told: int = 0

    def lose(self, samples: int, reason: str) -> None:
        """Sound was not taken."""
        self.dropped += samples
        self._lost[reason] += samples

    def news(self, time: int) -> dict[str, int]:
        """Reason -> samples lost since the last report; empty until ``LOST_EVERY`` has passed.

        A flood of sound that is not taken shall not become a flood of events.

        Args:
            time: present time in samples.
        """
        if not self._lost or time - self._told <= LOST_EVERY:
            return {}
        self._told, lost = time, dict(self._lost)
        self._lost.clear()
        return lost
