"""The opening control's evaluation, in a drawn world: it sees a mouth that obeys, and one that does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kouxing.errors import OptionError
from kouxing.eval import opening

from . import world


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = (("g1", "ann", "GRID"), ("w1", "cid", "web"))
    return world.write_data(tmp_path_factory.mktemp("opening") / "data", clips)


def test_a_mouth_that_obeys(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LEAST_S", 0.5)
    monkeypatch.setattr(opening, "FRAMES", 20)
    monkeypatch.setattr(opening, "MOUTHS", (0.4, 1.0, 1.6))
    found = opening.evaluate(data, split="test", out=tmp_path, parts=world.parts())
    assert found.figures["opening_monotone"] == 1 and found.figures["opening_bend"] < 0.5
    assert found.figures["opening_low"] < 0.7 < 1.3 < found.figures["opening_high"]
    # Sound that is made softer is heard as small openings in this world, and raised by `auto`.
    assert found.figures["quiet_plain"] < 0.5 < found.figures["quiet_auto"]
    told = json.loads((tmp_path / "opening.json").read_text())
    assert told["mouths"] == [0.4, 1.0, 1.6] and len(told["rows"]) == 2 and len(told["rows"][0]["curve"]) == 3
    assert {path.name for path in found.files} >= {"opening.json"} and found.table().row_count == 3


def test_figures_of_curves() -> None:
    row = {"quiet": 0.1, "quiet_auto": 0.2, "mumbled": 0.1, "mumbled_auto": 0.2, "plain_auto": 0.22}
    straight = {**row, "curve": [0.1 * mouth for mouth in opening.MOUTHS]}
    found = opening.figures([straight])
    assert found["opening_monotone"] == 1 and found["opening_bend"] == pytest.approx(0, abs=1e-6)
    assert found["opening_low"] == pytest.approx(0.4) and found["quiet_auto"] == pytest.approx(2)
    stuck = {**row, "curve": [0.1] * len(opening.MOUTHS)}
    assert opening.figures([stuck])["opening_monotone"] == 0
    bent = {**row, "curve": [0, 0, 0, 0.3, 0.3, 0.3, 0.3, 0.3]}
    assert opening.figures([bent])["opening_bend"] > 2


def test_spoiled_speech() -> None:
    sound = np.sin(np.arange(16000) * 2 * np.pi * 200 / 16000).astype(np.float32)
    high = np.sin(np.arange(16000) * 2 * np.pi * 3000 / 16000).astype(np.float32)
    assert np.abs(opening.quiet(sound)).max() == pytest.approx(10 ** (-35 / 20), rel=1e-3)
    assert opening.mumbled(sound)[4000:].std() > 0.6 and opening.mumbled(high)[4000:].std() < 0.01


def test_no_clip_is_no_evaluation(data: Path) -> None:
    with pytest.raises(OptionError, match="--limit 0"):
        opening.evaluate(data, limit=0)
