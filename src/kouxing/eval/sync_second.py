"""The discriminator and the scorer's second opinion on the same pairs, for an evaluation that shows both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kouxing.audio.encoder import SpeechEncoder
from kouxing.eval.sync_calibration import Embedded
from kouxing.infer.score_opinion import Shapes, heard_rows, seen_rows, shapes
from kouxing.infer.score_watch import EVERY
from kouxing.types import Bool, Float

PAIR = 5
"""Frames of a pair: the discriminator's window."""


def outlined(geometry: Float, found: Bool) -> Float:
    """Opening and width of lips ``[T, 2]`` as the scorer sees them: tracked in every second picture, straight between.

    Args:
        geometry: ``[T, 16]`` (``face.geometry``).
        found: ``[T]``.
    """
    frames = len(found)
    known = np.flatnonzero(found & (np.arange(frames) % EVERY == 0))
    if not len(known):
        return np.full((frames, 2), np.nan, np.float32)
    told = shapes(geometry[known])
    rows = np.stack([np.interp(np.arange(frames), known, column) for column in told.T], 1).astype(np.float32)
    rows[~found] = np.nan
    return rows


def hear(encoder: SpeechEncoder, mel: Float) -> Float:
    """Opening and width that the encoder hears in a clip's log-mel ``[4T, 80]``: ``[T, 2]``."""
    return shapes(encoder.hear(mel.astype(np.float32)))


def mixed(clip: Embedded, told: Shapes) -> Embedded:
    """A clip whose products of vectors are the discriminator's cosine and the second opinion on the same five frames.

    The lips are those of the five pictures, by the mean and spread of the whole clip; what is heard in five frames
    knows the sound before them, since the encoder remembers.
    """
    seen, heard = fives(seen_rows(told.seen)) / PAIR, fives(heard_rows(told.heard))
    return replace(clip, mouth=np.concatenate([clip.mouth, seen], 1), speech=np.concatenate([clip.speech, heard], 1))


def fives(rows: Float) -> Float:
    """``[T, K]`` -> ``[T, 5 K]``: each moment between its neighbours; NaN at both ends."""
    reach = PAIR // 2
    blank = np.full((reach, rows.shape[1]), np.nan, np.float32)
    padded = np.concatenate([blank, rows, blank])
    return np.concatenate([padded[place : place + len(rows)] for place in range(PAIR)], 1)
