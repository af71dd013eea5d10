"""Windows of the sync discriminator: aligned, repeatable, moved and spoiled as told; the filter's verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kouxing.data.manifest import Clip
from kouxing.data.mouths import Mouths
from kouxing.data.spoiled import spoil
from kouxing.data.sync_augment import heard, music, noisy, seen
from kouxing.data.sync_filter import Belief, heard_only, judge_clip, read_verdicts, write_verdicts
from kouxing.data.sync_windows import SyncWindows, WindowRules, judged
from kouxing.errors import DataError
from kouxing.face.offset import similarities


def clip(name: str, frames: int = 60, speaker: str = "a", seed: int = 0) -> Mouths:
    """A clip whose every picture and mel frame tells its number."""
    rng = np.random.default_rng(seed)
    row = Clip(name, "train", speaker, "en", frames / 25, "open", "made")
    pictures = np.repeat(np.arange(frames, dtype=np.uint8)[:, None], 48 * 64, 1).reshape(frames, 48, 64)
    mel = np.repeat(np.arange(frames * 4, dtype=np.float32)[:, None], 80, 1)
    return Mouths(
        row, pictures, mel, rng.normal(size=(frames, 16)).astype(np.float32), np.zeros(frames, np.float32),
        np.zeros(frames, bool), np.ones(frames, bool),
    )  # fmt: skip


def test_shifted_plants_the_lag_in_the_content() -> None:
    whole = clip("one")
    for late in (-4, 0, 3):
        moved = whole.shifted(late)
        assert len(moved) == 60 - abs(late)
        assert (moved.mel[::4, 0] / 4 + late == moved.pictures[:, 0, 0]).all()
    assert whole.shifted(5).shifted(-5).mel[0, 0] / 4 == whole.shifted(5).shifted(-5).pictures[0, 0, 0]
    with pytest.raises(ValueError, match="no sound"):
        whole.part(2, 30, 3)


def test_windows_are_aligned_repeatable_and_put_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is drawn, before augmentation.
    monkeypatch.setattr("kouxing.data.sync_augment.seen", lambda pictures, rng, hard: pictures)
    monkeypatch.setattr("kouxing.data.sync_augment.heard", lambda mel, noise, rng, hard: mel)
    rules = WindowRules(rows=10, mouth_reach=2, speech_reach=3)
    clips = [clip("one"), clip("two", seed=1).shifted(4), clip("short", 12)]
    windows = SyncWindows(clips, 6, rules, 0, {"two": 4})
    batch = windows(3)
    assert batch["pictures"].shape == (6, 14, 48, 64) and batch["mel"].shape == (6, 16 * 4, 80)
    assert batch["geometry"].shape == (6, 10, 16) and batch["mask"].shape == (6, 10)
    # Row i's middle picture and the middle of its sound are of the same moment, also in the clip that was off.
    middle, sound = batch["pictures"][:, 2:12, 0, 0].float(), batch["mel"][:, 12:52:4, 0] / 4
    assert (middle == sound).all() and (middle.diff(dim=1) == 1).all()
    again = SyncWindows(clips, 6, rules, 0, {"two": 4})(3)
    assert all((batch[name] == again[name]).all() for name in batch)
    with pytest.raises(DataError, match="frames or more"):
        SyncWindows([clip("short", 12)], 2, rules, 0)


def test_only_rows_with_face_and_voice_are_judged() -> None:
    one = clip("one", 20)
    one.found[5] = False
    one.silent[10:] = True
    good = judged(one, 2, 2)
    assert good.tolist() == [False] * 2 + [True] + [False] * 5 + [True] * 4 + [False] * 8


def test_augmentation_keeps_shape_and_is_harder_when_told() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (7, 48, 64)).astype(np.uint8)
    mel = rng.normal(0, 1, (28, 80)).astype(np.float32)
    for hard in (False, True):
        for seed in range(12):
            other = np.random.default_rng(seed)
            made = seen(pictures, other, hard)
            assert made.shape == pictures.shape and made.dtype == np.uint8
            sound = heard(mel, music(28, other), other, hard)
            assert sound.shape == mel.shape and sound.dtype == np.float32 and np.isfinite(sound).all()
    assert np.abs(noisy(mel, mel[::-1], 40) - mel).mean() < 0.05 < np.abs(noisy(mel, mel[::-1], 0) - mel).mean()


def test_a_fifth_is_spoiled() -> None:
    clips = [clip(f"c{n}", 60, f"speaker-{n % 4}", n) for n in range(20)]
    changed, done = spoil(clips, 1)
    wrong = [name for name, what in done.items() if what.wrong]
    late = {name: what.late for name, what in done.items() if what.late}
    assert len(wrong) == len(late) == 2 and all(3 <= abs(value) <= 12 for value in late.values())
    for before, after in zip(clips, changed, strict=True):
        assert len(after) == len(before) and (after.pictures == before.pictures).all()
        what = done[before.clip.id]
        if what.late > 0:
            assert (after.mel[what.late * 4 :] == before.mel[: -what.late * 4]).all() and after.silent[
                : what.late
            ].all()
        elif not what.wrong and not what.late:
            assert after is before


def rows(frames: int, seed: int = 0) -> np.ndarray:
    raw = np.random.default_rng(seed).normal(0, 1, (frames, 16))
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


BELIEF = Belief((0.0, 0.0, 0.0, 10.0, 0.0, -3.0))
"""Goes by the similarity at the best lag alone."""


def test_verdicts() -> None:
    mouth, spoken = rows(120), np.ones(120, bool)
    good = judge_clip("good", similarities(mouth, mouth), spoken, BELIEF)
    assert good.kept and good.late == 0 and not good.reason
    late = judge_clip("late", similarities(mouth, np.roll(mouth, 5, 0)), spoken, BELIEF)
    assert late.kept and late.late == 5
    wrong = judge_clip("wrong", similarities(mouth, rows(120, 3)), spoken, BELIEF)
    assert not wrong.kept and wrong.reason == "low confidence" and wrong.late == 0
    drifting = np.concatenate([mouth[:65], np.roll(mouth, 9, 0)[65:]])
    found = judge_clip("drifts", similarities(mouth, drifting), spoken, BELIEF)
    assert not found.kept and found.reason == "drifts"
    far = judge_clip("far", similarities(mouth, np.roll(mouth, 15, 0)), spoken, BELIEF)
    assert not far.kept and far.reason == "too far off"
    silent = judge_clip("silent", similarities(mouth, mouth), ~spoken, BELIEF)
    assert not silent.kept and silent.reason == "hardly anybody speaks"


def test_silence_has_no_say_in_lags() -> None:
    mouth, spoken = rows(40), np.arange(40) >= 12
    sims = similarities(mouth, mouth)
    heard = heard_only(sims, spoken)
    at = np.arange(40)[:, None] + np.arange(31) - 15
    assert (np.isfinite(heard) == (np.isfinite(sims) & (at >= 12))).all()
    assert heard[20, 15] == sims[20, 15]
    # Silent rows that look like the mouth at another lag do not mislead.
    late, padded = np.roll(mouth, 12, 0), np.roll(mouth, 12, 0)
    padded[:12] = mouth[4:16]
    told = [judge_clip("late", similarities(mouth, sound), spoken, BELIEF) for sound in (late, padded)]
    assert told[0] == told[1] and told[0].kept and told[0].late == 12
    # Where a lag would have nothing left, everything counts.
    assert heard_only(sims, np.arange(40) < 5) is sims


def test_the_second_manifest_is_read_back(tmp_path: Path) -> None:
    mouth, spoken = rows(80), np.ones(80, bool)
    clips = {name: clip(name).clip for name in ("a", "b")}
    made = [
        judge_clip("a", similarities(mouth, np.roll(mouth, -3, 0)), spoken, BELIEF),
        judge_clip("b", similarities(mouth, mouth), ~spoken, BELIEF),
    ]
    write_verdicts(tmp_path / "set2.csv", clips, made)
    again = read_verdicts(tmp_path / "set2.csv")
    assert again[0] == made[0] and again[1].reason == made[1].reason and not again[1].kept
    assert (tmp_path / "set2.csv").read_text().splitlines()[0].startswith("id,split,speaker")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "text", ["id,kept\na,True\n", "id,kept,late,offset,confidence,chance,reason\na,True,two,0,0,0,\n", "", "x,y\n"]
)
def test_another_table_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "set2.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"set2\.csv: is not what a filter decided"):
        read_verdicts(path)
    path.write_bytes(b"id,kept\n\xff\xfe,True\n")
    with pytest.raises(DataError):
        read_verdicts(path)
