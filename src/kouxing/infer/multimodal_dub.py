"""Text, sound and mouth video together -> the features that ``lips`` paints from, for ``dub``."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from kouxing import weights
from kouxing.audio import damage
from kouxing.audio.phone_ear import NAME as EAR_NAME
from kouxing.audio.silence import silent_frames
from kouxing.face.nearness import touching
from kouxing.infer import level
from kouxing.infer.job import fingerprint
from kouxing.infer.multimodal import MOUTH_NAME, NAME, Multimodal
from kouxing.infer.multimodal_animate import Modalities, Progress, join, load_samples
from kouxing.infer.speech import Speech, calm
from kouxing.types import Bool, Float
from kouxing.units import SAMPLE_HZ


def listen(path: Path, given: Modalities, told: Progress, even: bool = False) -> tuple[Speech, tuple[str, ...]]:
    """What the mouth has to do, and warnings.

    The mouth feature reaches the painter as mouth geometry, in place of what the speech encoder alone hears; the face
    vector is the painter's own memory of the person, encoded once.

    Args:
        path: the speech. given: text, mouth video. told: progress.
        even: quiet sound is raised first (``infer.level``).

    Raises:
        As ``multimodal_animate.join`` and ``load_samples``.
    """
    samples = load_samples(path)
    damage.check(path, samples)
    if even:
        (samples,) = level.raised([samples], level.gain(level.measured([samples])))
    joined = join(samples, given, Multimodal(threads=1), told)
    features, silent = shaped(np.concatenate([joined.made.geometry, joined.phones], 1), joined.speaking, samples)
    return Speech(features, silent, Fraction(len(samples), SAMPLE_HZ)), joined.warnings


def shaped(features: Float, speaking: Bool, samples: Float) -> tuple[Float, Bool]:
    """What the painter is given, as of speech alone: lips that come near touch, and rest where nobody speaks.

    Args:
        features: ``[T, D]`` geometry as joined, and phones said.
        speaking: ``[T]``: where text or pictures say what the mouth does.
        samples: ``[N]`` the sound.

    Returns:
        Features ``[L, D]`` and silence ``[L]``, as many frames as begin in the sound.
    """
    silent = silent_frames(samples, SAMPLE_HZ)
    silent &= ~speaking[: len(silent)]
    return calm(touching(features[: len(silent)]), silent), silent


def plan_of(given: Modalities) -> dict[str, Any]:
    """What of a job's plan these inputs are; empty without any.

    Raises:
        DataError, OptionError: a bad transcript. MediaError: the video is not there.
    """
    if not given:
        return {}
    told: dict[str, Any] = {name: weights.card(name)["sha256"] for name in (NAME, MOUTH_NAME, EAR_NAME)}
    transcript = given.transcript()
    if transcript is not None:
        cues = [[cue.text, cue.start_s, cue.end_s] for cue in transcript.cues]
        told |= {"text": cues, "language": given.language}
    if given.mouth_video is not None:
        told["mouth_video"] = fingerprint(given.mouth_video)
    return {"multimodal": told}
