"""One person's coefficients brought to a common scale: rest is 0, and lips that are closed are told as closed.

MediaPipe reads faces one picture at a time and takes build for movement: of two people with closed lips, one has a
jawOpen of 0.01 and the other one of 0.6, and the same opening moves jawOpen three times as far in one face as in
another. The inner-lip gap, measured on the mesh, knows better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.types import Float

REST_PERCENTILE = 5
"""A channel's level at rest: speech leaves every channel near it now and then."""
KEPT = ("eyeLook", "mouthSmile", "mouthFrown", "tongue")
"""Channels that keep their level: gaze has no rest, and people smile or frown throughout a clip and mean it."""
MOST_REST = 0.7
LEAST_ROWS = 40
"""With fewer rows nothing is known of rest: only closed lips are set right."""

CLOSED_SHARE, OPEN_SHARE = 0.12, 0.24
"""Shares of the person's wide opening below which lips are closed, and above which they are open."""
WIDE_PERCENTILE = 95
LEAST_WIDE = 0.03
"""Wide opening, in face widths, of somebody who hardly speaks."""
LEVEL_PERCENTILE = 2
LEVEL_SLACK = 0.004
"""The smallest gap is taken for closed lips if it is within ``CLOSED_SHARE`` of the wide opening and this, in face
widths: lips that touch still show a gap of up to 0.013 on some faces."""

JAW_PER_GAP = 2.5
"""jawOpen per face width of gap: median of 81 clips of the training footage."""
GAIN_LIMITS = (0.5, 2.0)
LEAST_JAW = 0.03
"""Wide jawOpen below which no gain is fitted: such a mouth opens with its lips alone, or not at all."""

JAW, CLOSE = PLACE["jawOpen"], PLACE["mouthClose"]
PARTING = tuple(PLACE[f"mouth{way}{side}"] for way in ("LowerDown", "UpperUp") for side in ("Left", "Right"))


@dataclass(frozen=True)
class Calibration:
    """What is particular to one person in one recording.

    Attributes:
        offset: ``[52] float32``, levels at rest, taken off.
        jaw_gain: factor of jawOpen after that.
        closed, open: gap over face width below which lips are closed, above which they are open.
    """

    offset: Float
    jaw_gain: float
    closed: float
    open: float

    def closedness(self, gap: Float) -> Float:
        """``[T]`` 1 where the lips are closed, 0 where they are open; NaN gaps count as open."""
        share = (self.open - np.asarray(gap, np.float32)) / (self.open - self.closed)
        return np.asarray(np.nan_to_num(np.clip(share, 0, 1)), np.float32)

    def apply(self, values: Float, gap: Float) -> Float:
        """Calibrated coefficients.

        Args:
            values: ``[T, 52] float32``. gap: ``[T]``, inner-lip gap over face width (``coefficients.aperture``).

        Returns:
            ``[T, 52] float32``, 0..1. Where the lips are closed mouthClose equals jawOpen and nothing parts them;
            nowhere is mouthClose more than jawOpen.
        """
        made = np.clip((values - self.offset) / (1 - self.offset), 0, 1).astype(np.float32)
        made[:, JAW] = np.clip(made[:, JAW] * self.jaw_gain, 0, 1)
        shut = self.closedness(gap)
        made[:, CLOSE] = np.minimum((1 - shut) * made[:, CLOSE] + shut * made[:, JAW], made[:, JAW])
        made[:, list(PARTING)] *= (1 - shut)[:, None]
        return made


def fit(values: Float, gap: Float) -> Calibration:
    """Learn a person's scale from a recording, as long as possible.

    Args:
        values: ``[T, 52]``. gap: ``[T]`` inner-lip gap over face width; only rows with a face.
    """
    if values.shape != (len(gap), len(COEFFICIENTS)):
        raise ValueError(f"values {values.shape} and gap {gap.shape} do not fit")
    level, wide = _lips(gap)
    closed, opened = (level + share * (wide - level) for share in (CLOSED_SHARE, OPEN_SHARE))
    offset = np.zeros(len(COEFFICIENTS), np.float32)
    if len(gap) < LEAST_ROWS:
        return Calibration(offset, 1.0, closed, opened)
    rest = np.minimum(np.percentile(values, REST_PERCENTILE, axis=0), MOST_REST)
    for place, name in enumerate(COEFFICIENTS):
        if not name.startswith(KEPT):
            offset[place] = rest[place]
    jaw = (values[:, JAW] - offset[JAW]) / (1 - offset[JAW])
    wide_jaw = float(np.percentile(jaw, WIDE_PERCENTILE))
    gain = 1.0
    if wide_jaw >= LEAST_JAW:
        gain = float(np.clip(JAW_PER_GAP * (wide - level) / wide_jaw, *GAIN_LIMITS))
    return Calibration(offset, gain, closed, opened)


def _lips(gap: Float) -> tuple[float, float]:
    """The gap of touching lips and the wide opening."""
    if not len(gap):
        return 0.0, LEAST_WIDE
    wide = max(float(np.percentile(gap, WIDE_PERCENTILE)), LEAST_WIDE)
    least = float(np.percentile(gap, LEVEL_PERCENTILE))
    return (least if least <= CLOSED_SHARE * wide + LEVEL_SLACK else 0.0), wide
