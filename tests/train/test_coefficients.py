"""The coefficient recipe end to end on made meshes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fake_mesh import make_mesh_data, moving
from kouxing import weights
from kouxing.arkit import MEDIAPIPE, PLACE
from kouxing.cli import app as cli
from kouxing.errors import DataError
from kouxing.face.coefficients import Regressor
from kouxing.train import coefficients
from kouxing.train.loop import Schedule


def test_it_learns_what_the_mesh_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, meshes = make_mesh_data(tmp_path)
    out = tmp_path / "run"
    schedule = Schedule(steps=150, batch=64, rate=1e-3, warmup=40, validate_every=75, ema=0.95)
    said: list[str] = []
    coefficients.main(data, out, meshes=meshes, schedule=schedule, report=said.append)
    assert said[0].startswith("3 clips")
    card = weights.card("coefficients", out)
    assert card["each"]["test"]["jawOpen"]["mae"] < 0.1 and card["each"]["test"]["jawOpen"]["r"] > 0.9
    assert card["each"]["test"]["mouthClose"]["r"] is None and len(card["each"]["val"]) == len(MEDIAPIPE)
    assert (out / "coefficients.onnx").stat().st_size < 1 << 20
    # What was exported, in use: another head, another size and place.
    monkeypatch.setenv("KOUXING_WEIGHTS", str(out))
    mesh, opening = moving(40, seed=11)
    values, _, _ = Regressor(threads=1).read(mesh * 1.7 - 30)
    assert np.corrcoef(values[:, PLACE["jawOpen"]], opening)[0, 1] > 0.9


def test_the_command_tells_settings_and_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", "coefficients", "--data", "x", "--steps", "7", "--dry-run"]) == 0
    assert '"steps": 7' in capsys.readouterr().out
    assert cli.run(["train", "coefficients", "--data", str(tmp_path)]) == 2
    assert "manifest.csv" in capsys.readouterr().err


def test_the_network_does_not_teach_itself(tmp_path: Path) -> None:
    data, meshes = make_mesh_data(tmp_path)
    (data / "prepare").mkdir()
    (data / "prepare" / "settings.json").write_text('{"landmarker": ""}', "utf-8")
    with pytest.raises(DataError, match="--landmarker"):
        coefficients.main(data, tmp_path / "run", meshes=meshes, report=lambda _: None)


def test_no_held_out_speakers(tmp_path: Path) -> None:
    data, meshes = make_mesh_data(tmp_path)
    manifest = data / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",val,", ",train,"))
    with pytest.raises(DataError, match="val"):
        coefficients.main(data, tmp_path / "run", meshes=meshes, report=lambda _: None)
