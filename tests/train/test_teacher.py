"""What an `expression` run teaches is told with the encoder that it was trained with, and no other."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

pytest.importorskip("torch")

from kouxing.errors import DataError
from kouxing.models.expression import Expression, ExpressionDimensions
from kouxing.models.speech import SpeechDimensions
from kouxing.train import mouth, multimodal
from kouxing.train.loop import BEST, write_aside
from kouxing.train.mouth import load_expression
from kouxing.train.origin import checksum
from kouxing.train.speech import fresh


def test_an_expression_of_another_encoder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = fresh(0, SpeechDimensions(width=8, hidden=8)).encoder
    monkeypatch.setattr(mouth, "load_speech", lambda run: encoder)
    run, own, other = (tmp_path / name for name in ("run", "own", "other"))
    size = ExpressionDimensions(heard=16, speakers=2)
    for number, folder in enumerate((run, own, other)):
        folder.mkdir()
        write_aside(folder / BEST, Expression(size).state_dict(), {"number": str(number)})
    told = {"dimensions": asdict(size), "origin": {"speech": checksum(own / BEST)}}
    (run / "config.json").write_text(json.dumps(told))
    assert load_expression(run, own)[1] is encoder
    with pytest.raises(DataError, match="another encoder"):
        load_expression(run, other)


def test_a_run_of_another_network_teaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is told before the clips are made ready."""
    monkeypatch.setattr(mouth, "load_takes", lambda *_: pytest.fail("clips are made ready"))
    encoder = fresh(0, SpeechDimensions(width=8, hidden=8)).encoder
    monkeypatch.setattr(mouth, "load_speech", lambda run: encoder)
    write_aside(tmp_path / BEST, encoder.state_dict(), {})
    for told in (None, "[]", "{}", json.dumps({"dimensions": {"bands": 80}})):
        if told is not None:
            (tmp_path / "config.json").write_text(told)
        with pytest.raises(DataError, match="is no run of `kouxing train expression`"):
            mouth.main(tmp_path, tmp_path / "run", expression=tmp_path, speech=tmp_path, report=lambda _: None)
    # Of a larger pretrained encoder: it hears otherwise.
    (tmp_path / "config.json").write_text(json.dumps({"dimensions": ExpressionDimensions(heard=384).as_dict()}))
    with pytest.raises(DataError, match="another encoder"):
        load_expression(tmp_path, tmp_path)
    (tmp_path / "ear").mkdir()
    write_aside(tmp_path / "ear" / BEST, encoder.state_dict(), {})
    with pytest.raises(DataError, match="is no run of `kouxing train multimodal`"):
        multimodal.load(tmp_path)
