"""Rows at one rate -> rows at another, as they come: linear interpolation (methods.md sections 1 and 2, Output)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from kouxing.types import Float


class RateChange:
    """Streaming resampler; in one piece or in many, the output is the same.

    Row i stands for time i / rate on both sides, so an output row waits for the input row at or after its time.

    Args:
        rate: rows per second that come in.
        wanted: rows per second that go out.
    """

    def __init__(self, rate: Fraction, wanted: Fraction) -> None:
        if rate <= 0 or wanted <= 0:
            raise ValueError(f"rates must be positive, got {rate} and {wanted}")
        self._step = Fraction(rate) / Fraction(wanted)
        self._made = 0
        self._taken = 0
        self._last: Float | None = None

    def push(self, rows: Float) -> Float:
        """``[n, D]`` next rows -> ``[m, D]`` rows that they complete."""
        if len(rows) == 0:
            return rows
        held = rows if self._last is None else np.concatenate([self._last[None], rows])
        first = self._taken - (0 if self._last is None else 1)
        self._taken += len(rows)
        self._last = rows[-1]
        return self._between(held, first, self._taken - 1)

    def finish(self, rows_in_all: int | None = None) -> Float:
        """The rows up to the end of the last input row's time span, which hold the last row.

        Args:
            rows_in_all: end with so many output rows instead (no fewer than were made).

        Returns:
            ``[m, D]``; ``[0, 0]`` where nothing ever came.
        """
        if self._last is None:
            return np.zeros((0, 0), np.float32)
        total = -(-self._taken * self._step.denominator // self._step.numerator)
        more = max((total if rows_in_all is None else rows_in_all) - self._made, 0)
        self._made += more
        return np.repeat(self._last[None], more, 0)

    def _between(self, held: Float, first: int, last: int) -> Float:
        """Every output row whose time lies at or before input row ``last``; ``held[0]`` is input row ``first``."""
        end = last * self._step.denominator // self._step.numerator + 1
        numbers = np.arange(self._made, max(end, self._made), dtype=np.int64)
        self._made += len(numbers)
        # Whole numbers first: floats would drift over hours.
        scaled = numbers * self._step.numerator
        low = scaled // self._step.denominator
        share = ((scaled % self._step.denominator) / self._step.denominator).astype(np.float32)[:, None]
        at = low - first
        following = np.minimum(at + 1, len(held) - 1)
        return np.asarray(held[at] * (1 - share) + held[following] * share, np.float32)
