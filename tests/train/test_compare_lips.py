"""The comparison with networks of other shapes, end to end on a tiny drawn data set, and the shapes themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from fake_data import make_data
from kouxing.data.footage import load_footage
from kouxing.data.lips import LipsSamples
from kouxing.eval import figures
from kouxing.eval.rows.grids import SHAPES
from kouxing.models import rivals
from kouxing.models.speech import SpeechDimensions, SpeechEncoder
from kouxing.train import shape
from kouxing.train.export import export_speech
from kouxing.train.loop import Schedule
from kouxing.units import HALF_PX, MEL_BANDS
from scripts import script

TINY = Schedule(steps=2, batch=4, warmup=1, validate_every=2, precision="bf16-mixed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    return script("recipes/compare_lips.py")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published shapes with few channels."""
    monkeypatch.setattr(rivals, "ULTRALIGHT_WIDTHS", (4, 8, 16, 32, 64))
    monkeypatch.setattr(rivals, "FACE_STAGES", tuple((4, step, 1) for _, step, _ in rivals.FACE_STAGES))
    monkeypatch.setattr(rivals, "AUDIO_STAGES", tuple((4, step, 1) for _, step, _ in rivals.AUDIO_STAGES))
    monkeypatch.setattr(rivals, "DECODER_STAGES", tuple((4, 1) for _ in rivals.DECODER_STAGES))
    monkeypatch.setattr(rivals, "CODE", 8)


def test_ultralight_has_the_published_size() -> None:
    net = rivals.Ultralight()
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(12.16, abs=0.01)


def test_train_judge_draw_and_go_on(
    recipe: ModuleType, narrow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shape, "SCHEDULE", TINY)
    monkeypatch.setattr(recipe, "JUDGED", 8)
    monkeypatch.setattr(recipe, "MOMENTS", 1)
    monkeypatch.setattr(recipe, "costs", lambda folder: {"wav2lip": {"gmac": 1.0}, "ultralight": {"gmac": 2.0}})
    data = make_data(tmp_path / "set", frames=52)
    about = {"units": {}, "recipe": "test", "commit": "none", "data": [], "licence": "none", "figures": {}}
    export_speech(SpeechEncoder(SpeechDimensions()), about, tmp_path / "speech")
    said: list[str] = []
    world = recipe.World(data, tmp_path / "run", tmp_path / "speech", said.append)
    names = ("wav2lip", "ultralight", "copy")
    rows = recipe.compare(world, names, TINY, tmp_path / "images")
    assert set(rows) == set(names)
    for row in rows.values():
        assert 5 < row["psnr_db"] < 60 and 0 < row["ssim"] <= 1 and np.isfinite(row["psnr_db_val"])
    assert {path.name for path in (tmp_path / "images").iterdir()} == {"lips-quality-cost.png", "lips-rivals.png"}
    # The same command goes on where it was: nothing is trained or judged again.
    said.clear()
    again = recipe.compare(
        recipe.World(data, tmp_path / "run", tmp_path / "speech", said.append), names, TINY, tmp_path
    )
    assert not said
    assert again["wav2lip"]["ssim"] == rows["wav2lip"]["ssim"]


def test_rivals_see_the_same_pictures_and_paint_in_their_box(
    recipe: ModuleType, narrow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    footage = load_footage(make_data(tmp_path / "set", frames=24), "train")
    sound_frames = recipe.wav2lip().dimensions.window
    ours = LipsSamples(footage, [f.geometry for f in footage], clips=2, run=2, window=11, spacing=1, seed=3)
    theirs = recipe.MelSamples(
        footage,
        [recipe.mel_rows(f) for f in footage],
        clips=2,
        run=2,
        window=sound_frames,
        spacing=1,
        seed=3,
        width=4 * MEL_BANDS,
    )
    for number in range(4):
        a, b = ours(number), theirs(number)
        assert torch.equal(a["frame"], b["frame"]) and torch.equal(a["references"], b["references"])
        assert b["audio"].shape == (4, sound_frames, 4 * MEL_BANDS)
    for make, batch in ((recipe.wav2lip, b), (recipe.ultralight, a)):
        rival = make().eval()
        given = (batch[name] for name in ("frame", "references", "audio", "own", "stances"))
        with torch.no_grad():
            lower, trust, flow = rival(*given)
        assert lower.shape == (4, 3, HALF_PX, 2 * HALF_PX) and trust.shape[1] == 3 and not flow.any()
        left, top, side = rival.box
        middle = batch["references"].reshape(2, 3, 3, 256, 256)[:, 1, :, HALF_PX:].repeat_interleave(2, 0)
        same = (lower == middle).all(1).all(0)
        assert same[:, :left].all() and same[:, left + side :].all() and same[top + side - HALF_PX :].all()
        assert same[: top + side - HALF_PX, left : left + side].float().mean() < 0.1
        assert rival.cover()[:, left].max() == 0 and rival.cover()[top + side // 2, left + side // 2] == 1


def test_wrong_speech_folder_is_one_line(
    recipe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare_lips.py", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "run"), "--only", "wav2lip"]
    monkeypatch.setattr(sys, "argv", command)
    assert recipe.main() == 2
    told = capsys.readouterr().err
    assert "none" in told and told.count("\n") == 1


def test_figures_make_a_table_with_a_row_per_network(recipe: ModuleType, tmp_path: Path) -> None:
    assert set(SHAPES) == set(recipe.ENTRIES)
    measured = {"fast_psnr_db": 30.0, "fast_gmac": 1.118, "copy_psnr_db": 20.0}
    figures.write("shapes", "x", measured, folder=tmp_path)
    table = figures.table("shapes", tmp_path, goals=True)
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[1:]] == ["| a copied mouth", "| `fast`"]
    assert "–" in rows[1] and "| 1.12 |" in rows[2] and "30.00" in rows[2]
