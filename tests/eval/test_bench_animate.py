"""The animation benchmark: what it compares is there, what is missing is said, nothing fails for it."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fake_data import make_data
from kouxing.arkit import MEDIAPIPE
from kouxing.eval import outside
from kouxing.text.phones import MOUTHS
from scripts import script


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return script("benchmarks/bench_animate.py")


@pytest.fixture
def no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside.shutil, "which", lambda name: None)


def test_nothing_there_is_said_and_no_failure(
    bench: ModuleType, no_node: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "gltf_errors is left out" in lines[0] and "no footage" in lines[1] and json.loads(lines[2]) == {}


def test_ways_are_judged_side_by_side(
    bench: ModuleType, no_node: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    from kouxing.models.speech import Listener, SpeechDimensions, SpeechEncoder

    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bench, "TIMED_S", 1)
    data = make_data(tmp_path / "set", frames=60)
    for path in (data / "tracks").glob("*.npz"):
        with np.load(path) as file:
            stored = dict(file)
        shapes = np.zeros((len(stored["found"]), 51), np.float16)
        gap = np.linalg.norm(stored["lips"][:, 25] - stored["lips"][:, 35], axis=-1)
        shapes[:, MEDIAPIPE.index("jawOpen")] = gap / 40
        np.savez(path, **stored, blendshapes=shapes)
    cues = tmp_path / "cues"
    cues.mkdir()
    (cues / "clip-3.json").write_text('{"mouthCues": [{"start": 0, "value": "D"}, {"start": 1, "value": "A"}]}')
    run = tmp_path / "phones"
    run.mkdir()
    size = SpeechDimensions(width=8, hidden=8, layers=2, reach=2)
    torch.manual_seed(0)
    save_file(Listener(SpeechEncoder(size), len(MOUTHS), 12).state_dict(), run / "best.safetensors")
    (run / "config.json").write_text(json.dumps({"dimensions": size.as_dict()}))
    words = ["--data", str(data), "--phones", str(run), "--cues", str(cues), "--no-write"]
    assert bench.main(words) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"viseme_r_wild", "viseme_closure_f1_wild", "rhubarb_closure_f1_wild", "viseme_rtf"} <= told.keys()
    # Two frames of the network, pauses of 35 hundredths, and the fade.
    assert told["viseme_lookahead_ms"] == pytest.approx(127.5 + 10 * (1 + 35 + 4))
    # What `kouxing evaluate animate` records stays its own.
    assert not {"r_wild", "loudness_r_wild", "mouth_r_wild"} & told.keys()
    assert bench.main(["--data", str(data), "--split", "nobody", "--no-write"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nobody" in line
