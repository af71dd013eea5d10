"""``mouth`` and ``expression`` in use: what was exported streams and knows nothing beyond its declared look-ahead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kouxing import weights
from kouxing.errors import WeightError
from kouxing.infer.expression import Expression
from kouxing.infer.mouth import Mouth
from kouxing.models.expression import Expression as ExpressionModel
from kouxing.models.expression import ExpressionDimensions
from kouxing.models.mouth import Mouth as MouthModel
from kouxing.models.mouth import MouthDimensions
from kouxing.models.speech import SpeechDimensions, SpeechEncoder
from kouxing.train.export_animate import export_expression, export_mouth
from kouxing.types import CoefficientTrack
from kouxing.units import SAMPLE_HZ

ABOUT = {"units": {}, "recipe": "test", "commit": "none", "data": [], "licence": "none", "figures": {}}
GATE = (0.4, 0.6)
EAR = SpeechDimensions(width=8, hidden=6, reach=3)
TIMES = np.arange(int(1.23 * SAMPLE_HZ)) / SAMPLE_HZ
SOUND = (np.random.default_rng(0).normal(0, 0.3, len(TIMES)) * np.sin(9 * TIMES) ** 4).astype(np.float32)
"""Bursts of noise."""
ROWS = 31


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Freshly drawn networks, exported; their readouts are stirred so that outputs move."""
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("weights")
    mouth = MouthModel(MouthDimensions(narrow=4, wide=6, features=8, hidden=10, attention=6, ahead=1))
    expression = ExpressionModel(ExpressionDimensions(heard=EAR.width + EAR.hidden, width=8, hidden=8))
    with torch.no_grad():
        for model in (mouth, expression):
            for value in model.readout[2].parameters():
                value.copy_(2 * torch.randn_like(value))
    assert export_mouth(mouth, GATE, ABOUT, place) <= 1e-3
    assert export_expression(expression, SpeechEncoder(EAR), ABOUT, place) <= 1e-3
    return place


@pytest.fixture(params=["mouth", "expression"])
def model(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Mouth | Expression:
    monkeypatch.setenv("KOUXING_WEIGHTS", str(folder))
    return Mouth(threads=1) if request.param == "mouth" else Expression(threads=1)


def whole(model: Mouth | Expression, sound: np.ndarray) -> np.ndarray:
    stream = model.stream()
    return np.concatenate([stream.push(sound), stream.finish()])


@pytest.mark.parametrize("piece", [1, 160, 1111, 6400])
def test_pieces_equal_the_whole(model: Mouth | Expression, piece: int) -> None:
    sound = SOUND if piece > 1 else SOUND[:700]
    wanted = whole(model, sound)
    stream = model.stream()
    made = [stream.push(sound[first : first + piece]) for first in range(0, len(sound), piece)]
    made.append(stream.finish())
    np.testing.assert_allclose(np.concatenate(made), wanted, atol=1e-5)
    if piece > 1:
        assert wanted.shape == (ROWS, 52) and wanted.dtype == np.float32
        assert wanted.min() >= 0 and wanted.max() <= 1 and wanted.std(0).max() > 0.01


def test_rows_come_as_soon_as_declared_and_know_no_more(model: Mouth | Expression) -> None:
    row = 12
    needed = int(np.ceil((row / float(model.rate_hz) + model.look_ahead_ms / 1000) * SAMPLE_HZ))
    stream = model.stream()
    assert len(stream.push(SOUND[:needed])) == row + 1
    early = model.stream()
    assert len(early.push(SOUND[: needed - 1])) == row
    changed = SOUND.copy()
    changed[needed:] = 0.3
    before, after = whole(model, SOUND), whole(model, changed)
    np.testing.assert_allclose(after[: row + 1], before[: row + 1], atol=1e-6)
    assert np.abs(after[row + 1 :] - before[row + 1 :]).max() > 1e-4


@pytest.mark.parametrize("without", ["attends", "compares"])
def test_ablations_stream_as_well(without: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    size = MouthDimensions(narrow=4, wide=6, features=8, hidden=10, attention=6, past=6, **{without: False})
    assert export_mouth(MouthModel(size), GATE, ABOUT, tmp_path) <= 1e-3
    monkeypatch.setenv("KOUXING_WEIGHTS", str(tmp_path))
    assert whole(Mouth(threads=1), SOUND).shape == (ROWS, 52)


def test_no_sound_no_rows(model: Mouth | Expression) -> None:
    stream = model.stream()
    assert stream.push(np.zeros(0, np.float32)).shape == (0, 52) and stream.finish().shape == (0, 52)
    assert whole(model, np.zeros(1, np.float32)).shape == (1, 52)


def test_streams_do_not_disturb_each_other(model: Mouth | Expression) -> None:
    wanted, one, other = whole(model, SOUND), model.stream(), model.stream()
    parts = []
    for first in range(0, len(SOUND), 4000):
        parts.append(one.push(SOUND[first : first + 4000]))
        other.push(-SOUND[first : first + 2000])
    parts.append(one.finish())
    np.testing.assert_allclose(np.concatenate(parts), wanted, atol=1e-5)


def test_attention_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUXING_WEIGHTS", str(folder))
    mouth = Mouth(threads=1)
    stream = mouth.stream()
    rows, weights_ = stream.explain(SOUND)
    more_rows, more = stream.explain_finish()
    weights_ = np.concatenate([weights_, more])
    assert weights_.shape == (ROWS, 52) == (len(rows) + len(more_rows), mouth.dimensions["past"] + 2)
    np.testing.assert_allclose(weights_.sum(1), 1, atol=1e-5)
    # Row 0 has no past.
    assert weights_[0, : mouth.dimensions["past"]].max() == 0


def test_emotion_style_and_blinks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUXING_WEIGHTS", str(folder))
    model = Expression(threads=1)
    wanted = whole(model, SOUND)
    happy = np.eye(7, dtype=np.float32)[1]

    def later(times: np.ndarray) -> np.ndarray:
        return np.where((times >= 0.4)[:, None], happy, np.eye(7, dtype=np.float32)[0])

    stream = model.stream(emotion=later)
    made = np.concatenate([stream.push(SOUND), stream.finish()])
    np.testing.assert_allclose(made[:10], wanted[:10], atol=1e-6)
    assert np.abs(made[10:] - wanted[10:]).max() > 1e-4
    # Changed by hand between two pushes.
    stream = model.stream()
    first = stream.push(SOUND[:12000])
    rest = np.concatenate([stream.push(SOUND[12000:], emotion=happy), stream.finish()])
    np.testing.assert_allclose(first, wanted[: len(first)], atol=1e-6)
    assert np.abs(rest - wanted[len(first) :]).max() > 1e-4
    style = model.read_style(CoefficientTrack(np.random.default_rng(0).uniform(0, 1, (50, 52)).astype(np.float32)))
    assert style.shape == (model.style_width,) and np.abs(style).max() <= 1
    stream = model.stream(style=style, blinks=3)
    styled = np.concatenate([stream.push(SOUND), stream.finish()])
    assert styled.shape == wanted.shape and np.abs(styled - wanted).max() > 1e-4
    with pytest.raises(ValueError, match="emotion must be"):
        model.stream(emotion=np.zeros(3, np.float32)).push(SOUND)


def test_a_network_that_export_spoils_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MouthModel(MouthDimensions(narrow=4, wide=4, features=8, hidden=6, attention=4, past=5))
    monkeypatch.setattr("kouxing.train.export_animate.TOLERANCE", 0.0)
    with pytest.raises(WeightError, match="not saved"):
        export_mouth(model, GATE, ABOUT, tmp_path)
    assert weights.names(tmp_path) == []
