"""Takes without a face: speech whose coefficients a trained ``expression`` gives, lips shut where the phones say so.

Real takes have few speakers; synthesised and labelled speech has many voices and languages, and tells where p, b and m
are.
"""

from __future__ import annotations

import numpy as np
import torch

from kouxing.data.animate import Take
from kouxing.data.heard import hear_takes
from kouxing.data.phones import PhoneClip
from kouxing.face.closure import TYPICAL_DISTANCE, lip_distance
from kouxing.models.expression import Expression, ExpressionStep, heard_distance
from kouxing.models.mouth import drawn_shut
from kouxing.models.speech import Ears, SpeechEncoder
from kouxing.text.phones import CLASS
from kouxing.types import Float
from kouxing.units import MELS_PER_FRAME

GROUP = "taught"
LEAST_MELS = 2
"""A frame counts as bilabial when so many of its mel frames do."""


@torch.no_grad()
def taught_takes(model: Expression, encoder: SpeechEncoder | Ears, clips: list[PhoneClip]) -> list[Take]:
    """A neutral take of each clip (of group ``taught``), as ``model`` would say it.

    Args:
        model: trained ``expression``; its encoder is ``encoder``.
        encoder: see ``model``.
        clips: speech with known phones.
    """
    model.eval()
    step = ExpressionStep(encoder, model)
    blank = [_blank(clip) for clip in clips if len(clip.mel) >= 10 * MELS_PER_FRAME]
    pieces = hear_takes(encoder, blank, 1, 0, lambda _: None)
    size = model.dimensions
    taught: dict[int, Take] = {}
    for piece in pieces:
        if len(piece.rows) < len(blank[piece.take]):
            continue
        heard = torch.from_numpy(piece.features.astype(np.float32))[None]
        emotion = torch.zeros(1, heard.shape[1], size.emotions)
        emotion[..., 0] = 1
        style = torch.zeros(1, heard.shape[1], size.style)
        values, shut, _ = model(heard, emotion, style, model.initial_state(1))
        made = step.finished(values, shut, emotion, heard_distance(encoder, heard))[0]
        bilabial = torch.from_numpy((blank[piece.take].gap < 0.5).astype(np.float32))
        taught[piece.take] = _filled(blank[piece.take], drawn_shut(made, bilabial).numpy())
    return [taught[place] for place in sorted(taught)]


def _blank(clip: PhoneClip) -> Take:
    """Coefficients still 0; the gap is 0 in bilabial frames, 1 elsewhere."""
    frames = len(clip.mel) // MELS_PER_FRAME
    of_frame = clip.classes[: frames * MELS_PER_FRAME].reshape(frames, MELS_PER_FRAME)
    bilabial = (of_frame == CLASS["bilabial"]).sum(1) >= LEAST_MELS
    nobody = np.zeros(frames, bool)
    return Take(
        name=clip.name, group=GROUP, speaker=clip.name, mel=clip.mel[: frames * MELS_PER_FRAME],
        values=np.zeros((frames, 52), np.float32), channels=np.ones(52, bool),
        gap=np.where(bilabial, 0, 1).astype(np.float32), silent=nobody, found=~nobody,
    )  # fmt: skip


def _filled(blank: Take, values: Float) -> Take:
    gap = np.maximum(lip_distance(values), 0) / TYPICAL_DISTANCE
    return Take(
        blank.name, blank.group, blank.speaker, blank.mel, values, blank.channels, gap.astype(np.float32),
        blank.silent, blank.found,
    )  # fmt: skip
