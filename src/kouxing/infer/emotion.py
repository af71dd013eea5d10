"""Emotion over time, as users write it: ``happy``, ``happy:0.6``, ``sad:0.4@2s..5s``; several add up."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kouxing.arkit import EMOTIONS
from kouxing.errors import OptionError
from kouxing.types import Float

FADE_S = 0.25
"""An emotion comes and goes over so long, centred on the times given: faces do not snap."""

_ENTRY = re.compile(
    r"(?P<name>[a-z]+)(:(?P<strength>[0-9]*\.?[0-9]+))?"
    r"(@(?P<start>[0-9]*\.?[0-9]+)s?\.\.((?P<stop>[0-9]*\.?[0-9]+)s?)?)?"
)


@dataclass(frozen=True)
class Mood:
    """One emotion for a while.

    Attributes:
        name: one of ``arkit.EMOTIONS``.
        strength: 0..1.
        start_s, stop_s: when; by default always.
    """

    name: str
    strength: float = 1.0
    start_s: float = -math.inf
    stop_s: float = math.inf


def read_mood(text: str) -> Mood:
    """Read ``NAME[:STRENGTH][@STARTs..[STOPs]]``.

    Raises:
        OptionError: not of that form, no such emotion, a strength outside 0..1, or an end before its start.
    """
    found = _ENTRY.fullmatch(text.strip().lower())
    if found is None:
        raise OptionError(f"--emotion {text}: write NAME, NAME:0.6 or NAME:0.6@2s..5s")
    if found["name"] not in EMOTIONS:
        raise OptionError(f"--emotion {text}: no such emotion; choose one of {', '.join(EMOTIONS)}")
    strength = float(found["strength"] or 1.0)
    if not strength <= 1:
        raise OptionError(f"--emotion {text}: strength {strength:g} is not within 0..1")
    start, stop = found["start"], found["stop"]
    mood = Mood(found["name"], strength, float(start) if start else -math.inf, float(stop) if stop else math.inf)
    if not mood.start_s < mood.stop_s:
        raise OptionError(f"--emotion {text}: it ends at {mood.stop_s:g} s before it starts at {mood.start_s:g} s")
    return mood


def emotion_at(moods: Sequence[Mood], times_s: Float) -> Float:
    """The mixture at some times.

    Args:
        moods: what was asked for; nothing is neutral.
        times_s: ``[N]`` seconds.

    Returns:
        ``[N, len(EMOTIONS)] float32``, each row adding up to 1: what the emotions leave is neutral, and more than 1 in
        all is scaled down.
    """
    times = np.asarray(times_s, np.float64)
    mixed = np.zeros((len(times), len(EMOTIONS)), np.float32)
    for mood in moods:
        rise = np.clip((times - mood.start_s) / FADE_S + 0.5, 0, 1)
        fall = np.clip((mood.stop_s - times) / FADE_S + 0.5, 0, 1)
        mixed[:, EMOTIONS.index(mood.name)] += mood.strength * np.minimum(rise, fall)
    total = mixed.sum(1, keepdims=True)
    mixed /= np.maximum(total, 1)
    mixed[:, EMOTIONS.index("neutral")] += np.maximum(1 - total[:, 0], 0)
    return mixed
