"""Held-out clips go to the device that the model trains on. "meta" stands for any that is not the CPU: what is left on
the CPU fails inside, and only the way back, the last step, cannot be gone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from kouxing.audio.front import WIDTH
from kouxing.models.expression import Expression, ExpressionDimensions
from kouxing.models.multimodal import Multimodal, MultimodalDimensions
from kouxing.models.speech import SpeechDimensions, SpeechEncoder
from kouxing.train import expression, multimodal, phone_ear, pretrained

BACK = "Cannot copy out of meta tensor"


def test_expression() -> None:
    import torch

    size = SpeechDimensions()
    heard = size.members * (size.hidden + size.width)
    model = Expression(ExpressionDimensions(heard=heard, speakers=2)).to("meta")
    piece = SimpleNamespace(features=np.zeros((10, heard), np.float16), rows=np.arange(10))
    with pytest.raises(NotImplementedError, match=BACK):
        expression.predict(model, SpeechEncoder(size).to("meta"), [piece])  # type: ignore[list-item]
    with pytest.raises(NotImplementedError, match=BACK):
        pretrained.spoken(model, torch.zeros(1, 10, heard))


def test_multimodal() -> None:
    model = Multimodal(MultimodalDimensions()).to("meta")
    clip = SimpleNamespace(text=None, pictures=None, take=[0] * 10)
    sizes = {"heard": 16, "trunk": 320, "mel": 80, "clear": 6}
    version = SimpleNamespace(**{name: np.zeros((10, size), np.float32) for name, size in sizes.items()})
    with pytest.raises(NotImplementedError, match=BACK):
        multimodal.predict(model, clip, version, (0, 1, 0))  # type: ignore[arg-type]


def test_phone_ear() -> None:
    hear = phone_ear.hearing(phone_ear.fresh().to("meta"))
    with pytest.raises(NotImplementedError, match=BACK):
        hear(np.zeros((10, WIDTH), np.float32))
