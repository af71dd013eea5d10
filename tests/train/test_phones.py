"""The phone stage: it learns, it resumes, and without any speech with phones it says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kouxing.data.phones import PhoneClip
from kouxing.data.speech import UNKNOWN
from kouxing.errors import OptionError
from kouxing.models.speech import Listener, SpeechDimensions, SpeechEncoder
from kouxing.text.phones import MOUTHS
from kouxing.train import phones
from kouxing.train.loop import Schedule
from kouxing.units import MEL_BANDS, MELS_PER_FRAME


def listener() -> Listener:
    torch.manual_seed(0)
    return Listener(SpeechEncoder(SpeechDimensions(width=16, hidden=16)), len(MOUTHS), 3)


def two_sounds(count: int, seed: int) -> PhoneClip:
    """Highs are one class, lows another."""
    rng = np.random.default_rng(seed)
    classes = np.repeat(rng.integers(0, 2, count // 8), 8)
    mel = rng.normal(0, 0.2, (len(classes), MEL_BANDS)).astype(np.float32)
    mel[classes == 1, : MEL_BANDS // 2] += 2
    mel[classes == 0, MEL_BANDS // 2 :] += 2
    return PhoneClip("made", mel, np.where(classes == 1, 5, 8))


def test_the_stage_learns_and_resumes(tmp_path: Path) -> None:
    data = phones.PhoneData([two_sounds(200, n) for n in range(4)], [], [two_sounds(200, 9)])
    clip = type("Heard", (), {"mel": two_sounds(100, 3).mel})()
    schedule = Schedule(steps=40, batch=8, rate=5e-3, warmup=5, validate_every=20, ema=0.9)
    model, lines = listener(), []
    before = (phones.hear_classes(model, data.held_out[0].mel) == data.held_out[0].classes).mean()
    phones.pretrain(model, data, [clip], tmp_path, schedule=schedule, report=lines.append)
    after = (phones.hear_classes(model, data.held_out[0].mel) == data.held_out[0].classes).mean()
    assert after > 0.8 > before
    other = listener()
    phones.pretrain(other, data, [clip], tmp_path, schedule=schedule, report=lines.append)
    torch.testing.assert_close(other.state_dict(), model.state_dict())


def test_unknown_steps_do_not_count() -> None:
    logits = torch.zeros(1, 4, len(MOUTHS))
    logits[0, :2, 3] = 20
    classes = torch.tensor([[3, 3, UNKNOWN, UNKNOWN]])
    assert phones.phone_loss(logits, classes) < 1e-3
    logits[0, 2:, 7] = 50
    assert phones.phone_loss(logits, classes) < 1e-3


def test_without_any_speech_with_phones_it_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> list[PhoneClip]:
        raise OptionError("espeak-ng is not installed; run: pip install 'kouxing[text]'")

    monkeypatch.setattr(phones, "cached", missing)
    # Of its own: where a user's cache holds phones already, nothing is said of making them.
    monkeypatch.setattr(phones, "cache_folder", lambda _: tmp_path / "cache" / "data")
    lines: list[str] = []
    assert phones.load(tmp_path, lines.append) is None
    made, without, untaught = lines
    assert "synthesised" in made and "kouxing[text]" in without and "not taught" in untaught


def test_heads_tell_what_they_should() -> None:
    model = listener()
    size = model.encoder.dimensions
    around = (size.before_rows, size.after_rows)
    features, logits, coefficients = model(torch.randn(2, sum(around) + 6 * MELS_PER_FRAME, MEL_BANDS))
    assert features.shape == (2, 6, 16) and logits.shape == (2, 24, len(MOUTHS)) and coefficients.shape == (2, 6, 3)
