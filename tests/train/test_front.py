"""``train front``, and encoders behind the front of streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fake_data import make_animated_data
from kouxing import weights
from kouxing.audio.encoder import SpeechEncoder
from kouxing.audio.front import Front
from kouxing.audio.live_front import between
from kouxing.data.live_front import FrontSequences, Lesson
from kouxing.errors import WeightError
from kouxing.infer.expression import Expression
from kouxing.train import expression, front, speech
from kouxing.train.front_start import fresh
from kouxing.train.loop import Schedule
from kouxing.units import SAMPLE_HZ

TINY = Schedule(steps=3, batch=2, warmup=1, validate_every=2)
SOUND = np.random.default_rng(0).normal(0, 0.1, 10 * SAMPLE_HZ + 99).astype(np.float32)


def quiet(_: str) -> None:
    pass


def test_from_the_front_to_a_live_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    data = make_animated_data(tmp_path / "set")
    ears, face, own = tmp_path / "ears", tmp_path / "face", tmp_path / "front"
    front.main(data, own, schedule=TINY, report=quiet)
    told = weights.card("front_live", own)
    assert "Moonshine" in str(told["data"]) and "MIT License" in told["notice"]
    assert np.isfinite(told["figures"]["explained"])
    monkeypatch.setenv("KOUXING_WEIGHTS", str(own))
    speech.main(data, ears, front=True, live=True, schedule=TINY, report=quiet)
    told = weights.card("speech_live", ears)
    assert "--front --live" in told["recipe"] and "Moonshine" in str(told["data"])
    expression.main(data, face, speech=ears, schedule=TINY, report=quiet)
    assert weights.card("expression_live", face)["dimensions"]["mouth_share"]
    monkeypatch.setenv("KOUXING_WEIGHTS", f"{face}:{ears}")
    with pytest.raises(WeightError, match="another `front_live`"):
        Expression(threads=1, live=True)
    monkeypatch.setenv("KOUXING_WEIGHTS", f"{own}:{face}:{ears}")
    model = Expression(threads=1, live=True)
    assert model.look_ahead_ms < 100
    for one in (model, SpeechEncoder(threads=1, name="speech_live")):
        stream, pieces = one.stream(), one.stream()
        whole = np.concatenate([stream.push(SOUND), stream.finish()])
        parts = [pieces.push(SOUND[first : first + 5_000]) for first in range(0, len(SOUND), 5_000)]
        assert len(whole) == 251
        np.testing.assert_allclose(np.concatenate([*parts, pieces.finish()]), whole, atol=1e-5)


@torch.no_grad()
def test_it_begins_as_the_front() -> None:
    model, samples = fresh(), torch.from_numpy(SOUND[None, : 99 * 384 + 895])
    assert not any(value.requires_grad for value in model.stem.parameters())
    heard = model.stem.heard(samples)
    # The front takes each window's own level, and attends over all of it.
    model.stem.mean.copy_(heard.mean())
    model.stem.spread.copy_(heard.std(correction=0))
    x, none = model.stem(samples), torch.zeros(2, 1, 0, 288)
    angles = (torch.arange(100)[:, None] * model.rates).repeat_interleave(2, -1)
    for layer in model.layers:
        x, _ = layer(x, none, (angles.cos(), angles.sin()), torch.ones(1, 1, 100, 100, dtype=torch.bool))
    theirs = Front(threads=1).session.run(None, {"samples": samples.numpy()})[0]
    assert np.corrcoef(model.readout(x).numpy().ravel(), theirs.ravel())[0, 1] > 0.99


def test_sequences_lie_one_after_the_other() -> None:
    lessons = []
    for length in (9, 30):
        own = np.arange(length * 5 // 3 + 6)
        lower, upper, share = between(np.arange(length))
        rows = own[lower] + share * (own[upper] - own[lower])
        lessons.append(Lesson(np.repeat(own[:, None], 288, 1), np.repeat(rows[:, None], 288, 1)))
    made = FrontSequences(lessons, 100, 3, 0)(5)
    stem, mask = made["stem"], made["mask"][..., None]
    lower, upper = (torch.gather(stem, 1, made[name][..., None].expand(-1, -1, 288)) for name in ("lower", "upper"))
    rows = lower + made["share"][..., None] * (upper - lower)
    assert mask.mean() > 0.5
    torch.testing.assert_close(rows * mask, made["wanted"] * mask)
    again = FrontSequences(lessons, 100, 3, 0)(5)
    assert all(torch.equal(made[name], again[name]) for name in made)
