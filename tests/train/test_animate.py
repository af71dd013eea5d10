"""``mouth`` and ``expression`` end to end on a tiny drawn data set: train, export, card, ablation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fake_data import make_animated_data
from kouxing import weights
from kouxing.arkit import EMOTIONS
from kouxing.audio.encoder import SpeechEncoder
from kouxing.audio.file_ear import FileEar
from kouxing.data.phones import PhoneClip
from kouxing.errors import DataError, WeightError
from kouxing.infer.expression import Expression
from kouxing.infer.mouth import Mouth
from kouxing.models.mouth import Mouth as MouthModel
from kouxing.models.mouth import MouthDimensions
from kouxing.train import expression, mouth, speech
from kouxing.train.loop import BEST, Schedule, write_aside
from kouxing.train.phones import PhoneData
from kouxing.units import SAMPLE_HZ

TINY = Schedule(steps=3, batch=4, warmup=1, validate_every=2)
SMALL = MouthDimensions(narrow=4, wide=6, features=8, hidden=10, attention=6)


def quiet(_: str) -> None:
    pass


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    return make_animated_data(tmp_path / "set")


def test_mouth(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "mouth"
    mouth.main(data, run, dimensions=SMALL, phones=False, schedule=TINY, report=quiet)
    told = weights.card("mouth", run)
    assert told["dimensions"]["gate"] == list(mouth.GATE) and "grid_r" not in told["figures"]
    assert {"words_r", "words_f1", "score"} <= told["figures"].keys()
    monkeypatch.setenv("KOUXING_WEIGHTS", str(run))
    stream = Mouth(threads=1).stream()
    assert len(stream.push(np.zeros(SAMPLE_HZ, np.float32))) + len(stream.finish()) == 25
    # The same line goes on where it stopped: here, nothing is left to do.
    mouth.main(data, run, dimensions=SMALL, phones=False, schedule=TINY, report=quiet)


def test_few_steps_are_few_steps_of_phones(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [PhoneClip("made", np.zeros((200, 80), np.float32), np.zeros(200, np.int64))] * 12
    monkeypatch.setattr(mouth.phone_speech, "load", lambda *_: PhoneData(clips, [], []))
    told: list[str] = []
    mouth.main(data, tmp_path / "mouth", dimensions=SMALL, schedule=TINY, report=told.append)
    assert [line.split(":")[0] for line in told if "phones/loss" in line] == ["step 3/3, 0.0 min left"]
    assert weights.card("mouth", tmp_path / "mouth")["recipe"].endswith(
        "--data DATA --steps 3 --batch 4 --rate 0.0001 --precision 32-true --out runs/mouth"
    )


def test_phones_teach_the_mouth(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat(rng.integers(0, 2, 60), 10)
    # Two classes that even a small network tells apart: loud bands above or below.
    mel = rng.normal(0, 0.1, (600, 80)).astype(np.float32)
    mel[classes == 0, :40] += 2
    mel[classes == 1, 40:] += 2
    clips = [PhoneClip("made", mel, classes)] * 3
    torch.manual_seed(0)
    model = MouthModel(SMALL)
    before = [value.clone() for value in model.parameters()]
    told: list[str] = []
    mouth.pretrain(model, clips, [], tmp_path, "cpu", replace(TINY, steps=25, batch=8, rate=5e-3), {}, told.append)
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    losses = [float(line.split("phones/loss ")[1]) for line in told if "phones/loss" in line]
    assert losses[-1] < 2.2 < np.log(16)


def test_expression(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "speech").mkdir()
    write_aside(tmp_path / "speech" / BEST, speech.fresh().encoder.state_dict(), {})
    for closure in (True, False):
        run = tmp_path / f"expression-{closure}"
        expression.main(data, run, speech=tmp_path / "speech", closure=closure, schedule=TINY, report=quiet)
        told = weights.card("expression", run)
        assert told["dimensions"]["shuts"] is closure
        # Nothing draws lips together in the ablation, so that `mouth`, which does, is not asked either.
        assert bool(told["dimensions"]["mouth_share"]) is closure
        assert set(told["emotions"]) == set(EMOTIONS) and "no emotional footage" in told["emotions"]["happy"]
    monkeypatch.setenv("KOUXING_WEIGHTS", str(run))
    model = Expression(threads=1)
    stream = model.stream(blinks=0)
    assert len(stream.push(np.zeros(SAMPLE_HZ, np.float32))) + len(stream.finish()) == 25


def test_expression_behind_the_front(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speech.main(data, tmp_path / "speech", front=True, schedule=TINY, report=quiet)
    told = weights.card("speech_file", tmp_path / "speech")
    assert "--front" in told["recipe"] and told["dimensions"]["steps"] == 1
    assert "Moonshine" in str(told["data"])
    expression.main(data, tmp_path / "expression", speech=tmp_path / "speech", schedule=TINY, report=quiet)
    told = weights.card("expression", tmp_path / "expression")
    assert "Moonshine" in str(told["data"]) and not told["dimensions"]["mouth_share"]
    monkeypatch.setenv("KOUXING_WEIGHTS", f"{tmp_path / 'expression'}:{tmp_path / 'speech'}")
    sound = np.random.default_rng(0).normal(0, 0.1, 10 * SAMPLE_HZ + 99).astype(np.float32)
    ear = SpeechEncoder(threads=1, name="speech_file")
    for model, frames in ((Expression(threads=1), 251), (ear, 251), (FileEar(threads=1), 251)):
        stream, pieces = model.stream(), model.stream()
        whole = np.concatenate([stream.push(sound), stream.finish()])
        parts = [pieces.push(sound[first : first + 5_000]) for first in range(0, len(sound), 5_000)]
        assert len(whole) == frames
        np.testing.assert_allclose(np.concatenate([*parts, pieces.finish()]), whole, atol=1e-5)
    with pytest.raises(WeightError, match="--front"):
        ear.hear(np.zeros((100, 80), np.float32))


def test_expression_needs_a_speech_encoder(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train speech"):
        expression.main(data, tmp_path / "run", speech=tmp_path, schedule=TINY, report=quiet)
