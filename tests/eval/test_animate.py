"""Figures of animation by language: counted, judged, shown."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from rich.console import Console

from kouxing.arkit import PLACE
from kouxing.data.animate import Take
from kouxing.eval import figures
from kouxing.eval.animate import AnimateReport, figures_of
from kouxing.eval.animate_findings import findings
from kouxing.face.closure import TYPICAL_DISTANCE, lip_distance
from kouxing.types import Float

FRAMES = 100


def take(name: str, group: str, seed: int) -> Take:
    """A mouth that opens and closes; its jaw alone holds the lips apart."""
    turn = np.arange(FRAMES) * (0.3 + 0.05 * seed)
    values = np.zeros((FRAMES, 52), np.float32)
    values[:, PLACE["jawOpen"]] = TYPICAL_DISTANCE * np.maximum(np.sin(turn), 0)
    distance = lip_distance(values)
    return Take(
        name=name, group=group, speaker=name, mel=np.zeros((4 * FRAMES, 80), np.float32), values=values,
        channels=np.ones(52, bool), gap=np.asarray(distance / np.percentile(distance, 95), np.float32),
        silent=np.zeros(FRAMES, bool), found=np.ones(FRAMES, bool),
    )  # fmt: skip


@pytest.fixture
def takes() -> list[Take]:
    return [take("a", "grid", 0), take("b", "grid", 1), take("c", "wild", 2), take("d", "mocap", 3)]


SPOKEN = {"a": "en", "b": "en", "c": "ko"}


def still() -> Float:
    return np.zeros((FRAMES, 52), np.float32)


def test_languages_are_counted_and_judged(takes: list[Take]) -> None:
    rows = {one.name: one.values for one in takes}
    rows["c"] = still()
    found = findings(takes, rows, SPOKEN, None).languages
    assert {language: one["clips"] for language, one in found.items()} == {"en": 2, "ko": 1, "zh": 1}
    assert found["en"]["r"] == pytest.approx(1) and found["en"]["f1"] == 1
    # Lips that never part: no correlation, and closed frames found among alarms.
    assert not math.isfinite(found["ko"]["r"]) or abs(found["ko"]["r"]) < 1e-6
    assert 0.5 < found["ko"]["f1"] < 1


@pytest.mark.parametrize("late", [2, -3])
def test_a_clip_filmed_out_of_step_is_also_judged_in_step(takes: list[Take], late: int) -> None:
    rows = {one.name: one.values for one in takes}
    # The sound, and with it all that is made of it, comes some frames after the picture.
    rows["c"] = np.roll(rows["c"], late, 0)
    measures = findings(takes, rows, SPOKEN, None, late={"c": late}).measures
    assert measures["wild"]["r"] < 0.9 and measures["wild"]["f1"] < 0.9
    assert measures["wild"]["r_in_step"] == pytest.approx(1) and measures["wild"]["f1_in_step"] == 1
    assert math.isnan(measures["grid"]["r_in_step"])


def test_the_report_and_the_readme_show_them(takes: list[Take]) -> None:
    rows = {one.name: one.values for one in takes}
    ways = {
        name: findings(takes, rows, SPOKEN, None) for name in ("expression", "expression live", "mouth", "loudness")
    }
    told = figures_of(ways)
    assert told["clips_lang_en"] == 2 and told["r_lang_zh"] == pytest.approx(1) and told["closure_f1_lang_ko"] == 1
    console = Console(file=io.StringIO(), width=120)
    console.print(AnimateReport("test", ways, told, ()).table())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "en (2 clips): aperture r" in shown and "ko (1 clip): closure F1" in shown


def test_languages_have_a_table_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("figures")
    told = {"r_grid": 0.7, "r_lang_en": 0.7, "closure_f1_lang_en": 0.75, "clips_lang_en": 31.0, "r_lang_ko": math.nan}
    figures.write("animate", "x", told, folder=folder)
    lines = figures.table("animate", folder).splitlines()
    assert "| en | 31 | 0.70 | 0.75 |" in lines and "| ko | – | – | – |" in lines
    assert not any("_lang_" in line for line in lines)
