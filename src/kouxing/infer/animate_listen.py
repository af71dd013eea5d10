"""A whole file of speech through a model, piece by piece, for ``animate``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from kouxing.audio import damage
from kouxing.audio.silence import frame_levels, silent_levels
from kouxing.errors import NoSoundError, OptionError
from kouxing.infer.animator import Animator, RowStream
from kouxing.media.reader import probe, read_sound
from kouxing.types import CoefficientTrack, Float
from kouxing.units import SAMPLE_HZ

LONGEST_S = 3 * 60 * 60
"""Coefficients of longer speech would not fit into a reasonable file or memory (3 hours are 135 MB of rows)."""

Progress = Callable[[str, int, "int | None"], None]


@dataclass(frozen=True)
class Listened:
    """What came of it.

    Attributes:
        track: ``[T, 52]`` at ``COEFFICIENT_HZ``.
        spent_s: seconds that the model worked.
        attention: ``[T, span]`` weights of ``mouth`` (``Mouth.explain``); None where they were not asked for.
        spoken: anybody speaks.
    """

    track: CoefficientTrack
    spent_s: float
    attention: Float | None
    spoken: bool


def listen(source: Path, rows: RowStream, rate: Fraction, attention: bool, told: Progress) -> Listened:
    """Everything that is said in a file.

    Args:
        source: with sound. rows: the model's stream, at its beginning. rate: its rows per second.
        attention: keep what ``mouth`` attends to.
        told: progress, stage ``listen`` in samples.

    Raises:
        MediaError: the sound is damaged; NoSoundError where it is 0 s long. OptionError: longer than ``LONGEST_S``.
    """
    total = probe(source).sound_seconds
    samples = None if total is None else int(total * SAMPLE_HZ)
    made: list[Float] = []
    looked: list[Float] = []
    levels: list[Float] = []
    animator = Animator(_Watched(rows, looked) if attention else rows, rate)
    spent, heard = 0.0, 0
    for chunk in damage.checked(source, read_sound(source, SAMPLE_HZ)):
        sound = np.asarray(chunk, np.float32)
        began = time.perf_counter()
        made.append(animator.push(sound))
        spent += time.perf_counter() - began
        levels.append(frame_levels(sound, SAMPLE_HZ))
        heard += len(sound)
        if heard > LONGEST_S * SAMPLE_HZ:
            raise too_long(source)
        told("listen", heard, None if samples is None else max(samples, heard))
    if not heard:
        raise NoSoundError(f"{source}: its sound is 0 s long; give a file with speech")
    began = time.perf_counter()
    made.append(animator.finish())
    spent += time.perf_counter() - began
    told("listen", heard, heard)
    spoken = not silent_levels(np.concatenate(levels)).all()
    return Listened(CoefficientTrack(np.concatenate(made)), spent, np.concatenate(looked) if looked else None, spoken)


def too_long(source: Path) -> OptionError:
    """What is told of a file beyond ``LONGEST_S``."""
    return OptionError(f"{source}: longer than {LONGEST_S // 3600} hours; cut it into parts")


class _Watched:
    """A ``mouth`` stream whose attention is kept."""

    def __init__(self, rows: RowStream, looked: list[Float]) -> None:
        self._rows: Any = rows
        self._looked = looked

    def push(self, samples: Float) -> Float:
        return self._kept(self._rows.explain(samples))

    def finish(self) -> Float:
        return self._kept(self._rows.explain_finish())

    def _kept(self, made: tuple[Float, Float]) -> Float:
        self._looked.append(made[1])
        return made[0]
