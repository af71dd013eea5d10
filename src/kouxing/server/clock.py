"""The sound clock of a session: samples at 16 kHz since its beginning, in step with real time while nobody speaks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from kouxing.units import SAMPLE_HZ

WATCHED_S = 10.0
"""A microphone's clock is compared over so long; shorter delays are the network's."""
MOST_DRIFT_S = 0.02
"""The clock follows a microphone that lags by more than this all the time."""


class SoundClock:
    """Real time as samples, bent to the clock of the sound that comes.

    Sound cards are off by up to 0.01 % (36 ms in 6 minutes). Without bending, a microphone that is slower than this
    machine would seem to stall.

    Args:
        now: seconds, increasing (``time.monotonic``).
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._began = now()
        self._least: deque[tuple[float, float]] = deque()

    @property
    def time(self) -> int:
        """Samples since the beginning."""
        return max(0, int((self._now() - self._began) * SAMPLE_HZ))

    def heard(self, end: int) -> None:
        """Sound that comes in real time reached ``end`` (samples on this clock) just now."""
        now = self._now()
        late = (now - self._began) - end / SAMPLE_HZ
        if self._least and now - self._least[-1][0] > 1:
            # After a pause the comparison starts anew.
            self._least.clear()
        # Running minimum: what is later than a newer one will never be the least again.
        while self._least and self._least[-1][1] >= late:
            self._least.pop()
        self._least.append((now, late))
        if now - self._least[0][0] < WATCHED_S:
            return
        least = self._least[0][1]
        if least > MOST_DRIFT_S:
            self._began += least
            self._least.clear()
        else:
            self._least.popleft()
