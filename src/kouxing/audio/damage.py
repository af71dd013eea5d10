"""Damaged sound is refused: samples that are no numbers, or in another unit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from kouxing.errors import MediaError
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ

MOST = 100.0
"""Sound goes from -1 to 1, and some above it is only clipped; a sample beyond this is in another unit, or damaged."""


def check(source: Path, samples: Float, heard: int = 0) -> None:
    """Refuse what cannot be sound.

    Args:
        source: for the message.
        samples: ``[N]`` at ``SAMPLE_HZ``.
        heard: samples that came before.

    Raises:
        MediaError: a sample is no number, or far beyond full scale.
    """
    # Written so that NaN fails too.
    wrong = np.flatnonzero(~(np.abs(samples) <= MOST))
    if not len(wrong):
        return
    value, where = float(samples[wrong[0]]), (heard + int(wrong[0])) / SAMPLE_HZ
    if np.isfinite(value):
        raise MediaError(
            f"{source}: its sound is damaged at {where:.2f} s (a sample of {value:.3g}; sound goes from -1 to 1); "
            "export it again"
        )
    raise MediaError(f"{source}: its sound is damaged at {where:.2f} s (values that are no numbers); export it again")


def checked(source: Path, chunks: Iterable[Float]) -> Iterator[Float]:
    """The same chunks, each checked as it passes.

    Raises:
        MediaError: see ``check``.
    """
    heard = 0
    for chunk in chunks:
        check(source, chunk, heard)
        heard += len(chunk)
        yield chunk
