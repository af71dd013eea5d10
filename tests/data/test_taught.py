"""Takes without a face: whole, and shut where the phones are bilabial."""

from __future__ import annotations

import numpy as np
import torch

from kouxing.data.phones import PhoneClip
from kouxing.data.taught import GROUP, taught_takes
from kouxing.face.closure import CLOSED_DISTANCE, lip_distance
from kouxing.face.geometry import opening_weights
from kouxing.models.expression import Expression, ExpressionDimensions
from kouxing.models.speech import SpeechDimensions, SpeechEncoder
from kouxing.text.phones import CLASS

EAR = SpeechDimensions(width=8, hidden=6, reach=2)


def test_lips_shut_at_bilabials_only() -> None:
    torch.manual_seed(0)
    model = Expression(ExpressionDimensions(heard=EAR.width + EAR.hidden, width=8, hidden=8))
    with torch.no_grad():
        # A mouth that always stands half open and is never sure that it is shut.
        last = list(model.readout[2].parameters())[-1]
        last[:-1], last[-1] = 0.0, -9.0
    rng = np.random.default_rng(0)
    classes = np.full(90, CLASS["open"])
    classes[40:52] = CLASS["bilabial"]
    clips = [
        PhoneClip("one", rng.normal(size=(90, 80)).astype(np.float32), classes),
        PhoneClip("short", rng.normal(size=(12, 80)).astype(np.float32), classes[:12]),
    ]
    # An encoder that hears every mouth wide open.
    encoder = SpeechEncoder(EAR).eval()
    with torch.no_grad():
        encoder.readout[-1].bias.copy_(torch.from_numpy(opening_weights() / np.square(opening_weights()).sum() * 16))
    takes = taught_takes(model, encoder, clips)
    assert [take.name for take in takes] == ["one"] and takes[0].group == GROUP
    take = takes[0]
    assert len(take) == 22 and len(take.mel) == 88
    shut = np.zeros(22, bool)
    shut[10:13] = True
    np.testing.assert_array_equal(take.closed, shut)
    assert (lip_distance(take.values)[shut] < CLOSED_DISTANCE).all() and lip_distance(take.values)[~shut].min() > 0.1
