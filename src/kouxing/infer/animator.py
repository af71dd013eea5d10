"""Speech as it comes -> animation rows at 60 a second: what live systems call, and what ``animate`` is made of."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

import numpy as np

from kouxing.arkit import COEFFICIENTS
from kouxing.infer.rate import RateChange
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ


class RowStream(Protocol):
    """A model that hears one speech."""

    def push(self, samples: Float) -> Float:
        """``[N]`` samples at ``SAMPLE_HZ`` -> the ``[n, 52]`` rows that they complete, at the model's rate."""
        ...

    def finish(self) -> Float:
        """The rows still owed."""
        ...


class Animator:
    """Streams coefficients; in one piece or in many, the output is the same.

    Args:
        rows: a model's stream at its beginning (``infer.mouth``, ``infer.expression``).
        rate: the model's rows per second; row i stands for time i / rate.
        wanted: rows per second that go out.
    """

    def __init__(self, rows: RowStream, rate: Fraction, wanted: Fraction = Fraction(COEFFICIENT_HZ)) -> None:
        self._rows = rows
        self._change = RateChange(rate, wanted)
        self._wanted = wanted
        self._heard = 0

    @property
    def heard(self) -> Fraction:
        """Seconds of speech so far."""
        return Fraction(self._heard, SAMPLE_HZ)

    def push(self, samples: Float) -> Float:
        """Take ``[N] float32`` samples at ``SAMPLE_HZ``; give the ``[n, 52] float32`` rows that they complete, 0..1."""
        self._heard += len(samples)
        return _within(self._change.push(self._rows.push(samples)))

    def finish(self) -> Float:
        """The rows still owed: with those before, one for every begun sixtieth of a second."""
        made = self._change.push(self._rows.finish())
        total = -(-self.heard.numerator * self._wanted // self.heard.denominator)
        rest = self._change.finish(int(total))
        return _within(np.concatenate([made, rest.reshape(-1, len(COEFFICIENTS))]))


def _within(rows: Float) -> Float:
    return np.asarray(np.clip(rows.reshape(-1, len(COEFFICIENTS)), 0, 1), np.float32)
