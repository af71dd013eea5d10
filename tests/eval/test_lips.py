"""The evaluation end to end in a drawn world, and proof that it notices networks that are bad in known ways."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kouxing.data.manifest import Clip
from kouxing.errors import DataError, OptionError
from kouxing.eval.lips import choose_clips, evaluate, partners
from kouxing.eval.report import Report
from kouxing.infer.parts import Parts

from . import world

CLIPS = (("g1", "ann", "GRID"), ("g2", "bob", "GRID"), ("w1", "cid", "web"), ("w2", "dee", "web"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.write_data(tmp_path_factory.mktemp("judge") / "data", CLIPS)


@pytest.fixture(scope="module")
def good(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return judged(data, tmp_path_factory.mktemp("good"))


def judged(data: Path, out: Path, parts: Parts | None = None, **more: Any) -> Report:
    return evaluate(data, out=out, parts=parts or world.parts(), judge=world.Judge(), **more)


def clip(name: str, speaker: str, corpus: str) -> Clip:
    return Clip(name, "test", speaker, "en", 1.0, "open", corpus)


def test_a_good_network_gets_good_figures(good: Report) -> None:
    found = good.figures
    assert min(found[key] for key in ("self_r_grid", "self_r_wild", "cross_r_grid", "cross_r_wild")) > 0.9
    assert found["self_lag_ok"] == 1
    assert abs(found["wrong_r"]) < 0.5
    assert found["silence_score"] == 1
    assert found["outside_mask_diff"] == 0
    assert found["psnr_gain_db"] > 1
    assert found["lmd_ratio"] < 0.5
    assert found["sharpness_ratio"] > 0.6
    assert found["mouth_gain_low"] < 0.8 < 1.2 < found["mouth_gain_high"]


def test_a_good_network_is_seen_in_step_still_and_in_place(good: Report) -> None:
    found = good.figures
    assert found["lsec_gap"] < 0.8 and found["lsed_gap"] < 0.8
    for part in ("grid", "wild"):
        assert found[f"lsec_copy_{part}"] < found[f"lsec_self_{part}"] < found[f"lsec_real_{part}"] + 0.5
        assert found[f"lsed_chance_{part}"] > found[f"lsed_self_{part}"]
        assert found[f"perceptual_self_{part}"] < found[f"perceptual_copy_{part}"]
    assert found["drift"] < 0.001
    assert found["clips_lang_en"] == 2 and found["r_lang_en"] == found["self_r_wild"]
    assert "ssim_gain" not in found and "language_gap" not in found


def test_older_dubs_are_judged_beside(data: Path, good: Report, tmp_path: Path) -> None:
    # Of its own: the report of others lies in that folder.
    out = Path(shutil.copytree(good.files[0].parent, tmp_path / "again"))
    for name, *_ in CLIPS:
        # A dub that never opens the mouth; as long as the clip, and without its sound.
        world.write_clip(tmp_path / f"{name}.mp4", np.zeros(50, np.float32), 0)
    found = judged(data, out, against=tmp_path).figures
    assert found["ssim_gain"] > 0.15 and found["perceptual_gain"] > 0.15
    assert found["old_r_grid"] < 0.1 < found["self_r_grid"] == good.figures["self_r_grid"]
    stamps = {path: path.stat().st_mtime_ns for path in (out / "against").glob("*.json")}
    world.write_clip(tmp_path / "w1.mp4", np.zeros(20, np.float32), 0)
    with pytest.raises(DataError, match=r"w1\.mp4: is no dub of w1"):
        judged(data, out, against=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps and len(stamps) == len(CLIPS)
    (tmp_path / "g1.mp4").unlink()
    with pytest.raises(OptionError, match=r"--against .*g1\.mp4"):
        judged(data, out, against=tmp_path)


def test_ground_truth_and_copy_stand_at_their_ends(good: Report) -> None:
    for row in good.rows:
        assert row["truth_r"] > 0.97
        assert row["truth_lmd"] < row["self_lmd"] + 0.005 < row["copy_lmd"]
        assert row["copy_r"] < 0.5
        assert row["encoder_r"] > 0.9


@pytest.mark.parametrize(
    ("network", "key", "at_most"),
    [
        (lambda: world.Late(3), "self_lag_ok", 0.0),
        (world.Deaf, "self_r_grid", 0.5),
        (world.Blurred, "sharpness_ratio", 0.3),
    ],
)
def test_a_bad_network_is_told(data: Path, tmp_path: Path, network: object, key: str, at_most: float) -> None:
    found = judged(data, tmp_path, world.parts(network), limit=1, opening=False).figures  # type: ignore[arg-type]
    assert found[key] <= at_most


def test_a_paste_that_touches_the_rest_is_told(data: Path, tmp_path: Path) -> None:
    found = judged(data, tmp_path, world.parts(put_back=world.spoiled_paste), limit=1, opening=False).figures
    assert found["outside_mask_diff"] == 1


def test_files_are_written(good: Report) -> None:
    names = sorted(path.name for path in good.files)
    assert names == [
        "curves-grid-1.png", "curves-wild-1.png", "evaluation.json", "sheet-grid-1.png", "sheet-wild-1.png",
    ]  # fmt: skip
    told = json.loads(next(path for path in good.files if path.suffix == ".json").read_text())
    assert told["figures"] == good.figures
    assert [row["id"] for row in told["rows"]] == ["g1", "g2", "w1", "w2"]


def test_finished_clips_are_taken_up_again(data: Path, tmp_path: Path) -> None:
    first = judged(data, tmp_path, limit=1, opening=False)
    rows = sorted(tmp_path.glob("clips-*/*.json"))
    stamps = {path: path.stat().st_mtime_ns for path in rows}
    rows[0].write_text("{ torn")
    steps: list[tuple[int, int]] = []
    again = judged(data, tmp_path, limit=1, opening=False, progress=lambda *at: steps.append(at))
    assert again.figures == first.figures
    assert [path.stat().st_mtime_ns == stamps[path] for path in rows] == [False, True]
    assert steps == [(0, 2), (1, 2), (2, 2)]


def test_other_weights_start_anew(data: Path, tmp_path: Path) -> None:
    good = judged(data, tmp_path, limit=1)
    baselines = {path: path.stat().st_mtime_ns for path in tmp_path.glob("baselines-*/*.json")}
    bad = judged(data, tmp_path, world.parts(world.Deaf, name="two"), limit=1, opening=False)
    assert bad.figures["self_r_grid"] < good.figures["self_r_grid"]
    assert "mouth_gain_low" in good.figures and "mouth_gain_low" not in bad.figures
    # What no weights change is not made again.
    assert {path: path.stat().st_mtime_ns for path in baselines} == baselines and len(baselines) == 2


def test_wrong_use_is_told(data: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--limit 0"):
        evaluate(data, limit=0, out=tmp_path, parts=world.parts())
    with pytest.raises(DataError, match=r"manifest\.csv"):
        evaluate(tmp_path / "nowhere", out=tmp_path, parts=world.parts())


def test_partners_are_strangers_and_unrelated_speech_is_of_the_other_part() -> None:
    clips = [clip(f"g{n}", f"speaker{n // 3}", "GRID") for n in range(9)]
    clips += [clip(f"w{n}", f"p{n}", "web") for n in range(4)]
    pairs = partners(clips)
    assert pairs == partners(clips[::-1])
    for one in clips:
        cross, wrong = pairs[one.id]
        assert cross is not None and wrong is not None
        assert cross.speaker != one.speaker and cross.part == one.part
        assert wrong.part != one.part
    assert len({pairs[one.id][0].id for one in clips[:9]}) >= 6  # type: ignore[union-attr]


def test_partners_where_there_is_no_choice() -> None:
    assert partners([clip("a", "x", "web")]) == {"a": (None, None)}
    lonely = partners([clip("a", "x", "web"), clip("b", "x", "web"), clip("c", "y", "web")])
    assert [one.id if one else None for one in lonely["a"]] == ["c", "c"]


def test_limit_spreads_over_each_part() -> None:
    clips = [clip(f"g{n:02}", "x", "GRID") for n in range(10)] + [clip("w", "y", "web")]
    assert [one.id for one in choose_clips(clips, 2)] == ["g00", "g05", "w"]
    assert len(choose_clips(clips, None)) == 11
