"""``train expression --encoder``: a tiny random HuBERT hears a tiny drawn data set, and speaks afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers", reason="kouxing[pretrained] is not installed")

from data.test_pretrained import noise, save  # noqa: E402
from fake_data import make_animated_data  # noqa: E402
from kouxing.cli import app as cli  # noqa: E402
from kouxing.errors import DataError  # noqa: E402
from kouxing.train import pretrained  # noqa: E402
from kouxing.train.loop import BEST, Schedule  # noqa: E402

TINY = Schedule(steps=3, batch=4, warmup=1, validate_every=2)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    return make_animated_data(tmp_path / "set")


def test_train_and_speak(data: Path, tmp_path: Path) -> None:
    folder, run = save("hubert", tmp_path / "hubert"), tmp_path / "run"
    pretrained.main(data, run, encoder=f"hubert:{folder}", schedule=TINY, report=lambda _: None)
    assert (run / BEST).is_file()
    told = json.loads((run / pretrained.ABOUT).read_text())
    assert told["ear"]["kind"] == "hubert" and len(told["sha256"]) == 64
    speaking = pretrained.Speaking(run)
    rows = speaking.speak(noise(1.01))
    assert rows.shape == (26, 52) and np.isfinite(rows).all() and rows.min() >= 0 and rows.max() <= 1
    assert np.abs(speaking.speak(noise(1.01), "happy") - rows).max() > 0.01
    other = save("hubert", tmp_path / "other")
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(DataError, match="not the encoder"):
        pretrained.Speaking(run, str(other))
    with pytest.raises(DataError, match=r"has no pretrained\.json"):
        pretrained.Speaking(tmp_path)


def test_the_command_names_the_encoder(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "expression", "--data", str(data), "--encoder", "whisper:/none", "-o", str(tmp_path / "run")]
    assert cli.run([*words, "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["encoder"] == "whisper:/none" and "speech" not in told
    assert cli.run(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no such folder" in line
