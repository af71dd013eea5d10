"""The speech recipe: clips out of step are found by a model that never saw them, and helpers may be missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kouxing.data.footage import Footage
from kouxing.data.manifest import Clip
from kouxing.data.speech import SpeechWindows
from kouxing.data.sync import steps_of
from kouxing.data.sync_filter import Verdict, write_verdicts
from kouxing.errors import DataError
from kouxing.face import geometry
from kouxing.train import speech
from kouxing.train.loop import Schedule
from kouxing.units import MEL_BANDS, MELS_PER_FRAME


def footage(name: str, seconds: float, seed: int) -> Footage:
    """A mouth that opens with the loudness of its sound; ``seconds`` is what the manifest says."""
    frames = 80
    noise = np.random.default_rng(seed).normal(size=frames + 6)
    wide = np.convolve(noise, np.hanning(7), "valid").astype(np.float32)
    wide -= wide.min()
    way = np.zeros(16, np.float32)
    way[0] = np.sign(geometry.opening(np.eye(16, dtype=np.float32))[0])
    empty = np.zeros((frames, 0, 2), np.float32)
    mel = np.repeat(wide - 1, MELS_PER_FRAME)[:, None] * np.ones((1, MEL_BANDS), np.float32)
    return Footage(
        clip=Clip(name, "train", name, "und", seconds, "open", "made"), jpegs=(), mel=mel.astype(np.float32),
        lips=empty, geometry=0.3 * wide[:, None] * way, aperture=0.02 * wide, anchors=empty, jaw=empty,
        silent=np.zeros(frames, bool), found=np.ones(frames, bool),
    )  # fmt: skip


def test_a_late_clip_is_found_by_ear(tmp_path: Path) -> None:
    words = [footage(f"word-{n}", 1.2, n) for n in range(6)]
    good, bad = footage("good", 3.2, 10), footage("bad", 3.2, 11)
    bad = replace(bad, aperture=np.roll(bad.aperture, 3), geometry=np.roll(bad.geometry, 3, 0))
    lines: list[str] = []
    stage = speech._Stage(None, [], words[:2], "cpu", lines.append, speech.LIVE, {})
    schedule = Schedule(steps=40, batch=8, rate=3e-3, warmup=5, validate_every=40, ema=0.9)
    steps = speech.who_is_in_step(stage, speech.fresh(0, speech.LIVE), [*words, good, bad], tmp_path, schedule)
    assert set(steps) == {"good", "bad"}
    assert steps["good"].late == 0 and steps["bad"].late == 3 and steps["bad"].best > steps["bad"].as_is + 0.1
    # Found once, then read.
    assert json.loads((tmp_path / "steps.json").read_text(encoding="utf-8"))["bad"]["late"] == 3
    lines.clear()
    assert speech.who_is_in_step(stage, speech.fresh(0, speech.LIVE), [*words, good, bad], tmp_path, schedule) == steps
    assert not lines


def test_discriminators_may_tell_who_is_in_step(tmp_path: Path) -> None:
    """They also tell single words, and nothing is trained for it."""
    clips = [footage("word", 1.2, 0), footage("good", 3.2, 1)]
    told = [Verdict("word", True, 2, 2.1, 0.1, 0.9, ""), Verdict("good", True, 0, 0.1, 0.1, 0.9, "")]
    decided = steps_of(told)
    stage = speech._Stage(None, [], clips, "cpu", pytest.fail, speech.LIVE, {})
    schedule = Schedule(steps=1, batch=2)
    run = tmp_path / "run"
    run.mkdir()
    steps = speech.who_is_in_step(stage, speech.fresh(0, speech.LIVE), clips, run, schedule, decided)
    assert steps["word"].late == -2 and steps["good"].late == 0
    assert not (run / "anchors").exists() and (run / "steps.json").exists()
    assert speech.who_is_in_step(stage, speech.fresh(0, speech.LIVE), clips, run, schedule) == steps
    # What a run began with stays: nothing is said to be learned from clips that were moved otherwise.
    other = steps_of([replace(told[0], late=1), told[1]])
    with pytest.raises(DataError, match="--set2"):
        speech.who_is_in_step(stage, speech.fresh(0, speech.LIVE), clips, run, schedule, other)


def test_that_nothing_moves_is_a_decision_too(tmp_path: Path) -> None:
    """Without studio clips and single words nothing is moved; the run goes on with that, and with nothing else."""
    clips = [footage("one", 3.2, 0), footage("two", 3.2, 1)]
    stage = speech._Stage(None, [], clips, "cpu", pytest.fail, speech.LIVE, {})
    schedule = Schedule(steps=1, batch=2)
    assert speech.who_is_in_step(stage, speech.fresh(0, speech.LIVE), clips, tmp_path, schedule) == {}
    other = steps_of([Verdict(clip.clip.id, True, 1, 1.0, 0.1, 0.9, "") for clip in clips])
    with pytest.raises(DataError, match="the run began with it"):
        speech.who_is_in_step(stage, speech.fresh(0, speech.LIVE), clips, tmp_path, schedule, other)
    assert json.loads((tmp_path / "steps.json").read_text(encoding="utf-8")) == {}
    assert speech.who_is_in_step(stage, speech.fresh(0, speech.LIVE), clips, tmp_path, schedule) == {}


@pytest.fixture
def two_clips(monkeypatch: pytest.MonkeyPatch) -> list[Footage]:
    """All that ``speech.main`` finds in its data folder; nothing is trained."""
    clips = [footage("one", 3.2, 0), footage("two", 3.2, 1)]
    monkeypatch.setattr(speech, "load_footage", lambda *_: clips)
    monkeypatch.setattr(speech, "mocap_takes", lambda *_: [])
    monkeypatch.setattr(speech.phones, "load", lambda *_: None)
    monkeypatch.setattr(speech._Stage, "run", lambda *_: pytest.fail("trained"))
    return clips


def test_decisions_about_other_clips_are_refused(tmp_path: Path, two_clips: list[Footage]) -> None:
    table = tmp_path / "set2.csv"
    strange = footage("strange", 3.2, 2).clip
    verdicts = [Verdict(one.id, True, 2, 2.0, 0.1, 0.9, "") for one in (two_clips[0].clip, strange)]
    write_verdicts(table, {"one": two_clips[0].clip, "strange": strange}, verdicts)
    with pytest.raises(DataError, match=r"set2.csv: says nothing of clip two"):
        speech.main(tmp_path, tmp_path / "run", set_two=table, report=lambda _: None)
    assert not (tmp_path / "run").exists()


def test_only_clips_that_are_there_count_as_moved(
    tmp_path: Path, two_clips: list[Footage], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):
        pass

    def stop(self: object, name: str, start: object, clips: object, schedule: object, out: Path, late: object) -> None:
        assert late == {"one": -2}
        raise Enough

    monkeypatch.setattr(speech._Stage, "run", stop)
    clips = {one.id: one for one in (two_clips[0].clip, two_clips[1].clip, footage("gone", 3.2, 2).clip)}
    moves = {"one": 2, "two": 0, "gone": 3}
    write_verdicts(tmp_path / "set2.csv", clips, [Verdict(n, True, k, k, 0.1, 0.9, "") for n, k in moves.items()])
    lines: list[str] = []
    with pytest.raises(Enough):
        speech.main(tmp_path, tmp_path / "run", set_two=tmp_path / "set2.csv", report=lines.append)
    assert "1 moved in time, 0 left out" in lines[-1]


def test_whose_decisions_a_run_goes_by_is_of_its_origin(
    tmp_path: Path, two_clips: list[Footage], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):
        pass

    begun: list[dict[str, str]] = []

    def stop(self: speech._Stage, *_: object) -> None:
        begun.append(self.of)
        raise Enough

    monkeypatch.setattr(speech._Stage, "run", stop)
    table, clips = tmp_path / "set2.csv", {one.clip.id: one.clip for one in two_clips}
    write_verdicts(table, clips, [Verdict(name, True, 2, 2, 0.1, 0.9, "") for name in clips])
    for given in (table, None):
        with pytest.raises(Enough):
            speech.main(tmp_path, tmp_path / "run", set_two=given, report=lambda _: None)
    assert begun[0] != begun[1]


def test_helpers_may_be_missing() -> None:
    clip = footage("one", 3.2, 0)
    model = speech.fresh()
    size = model.encoder.dimensions
    around = (size.before_rows, size.after_rows)
    task = speech.SpeechTask(model, SpeechWindows([clip], 30, 3, around, 0), [clip])
    batch = task.batch(0)
    _, alone = task.step(model, batch, 0.0)
    assert "speech/phones" not in alone and "speech/jaw" not in alone
    sound = batch["mel"][:2]
    batch |= {"phone_mel": sound, "classes": torch.zeros(2, 30 * MELS_PER_FRAME, dtype=torch.long)}
    batch |= {"take_mel": sound, "coefficients": torch.rand(2, 30, len(speech.HELPERS))}
    batch |= {"known": torch.ones(2, 30, len(speech.HELPERS)), "distance": torch.rand(2, 30)}
    model.eval()
    loss, all_told = task.step(model, batch, 0.0)
    assert {"speech/phones", "speech/coefficients", "speech/jaw", "speech/captured"} <= set(all_told)
    assert float(loss) == pytest.approx(
        sum(weight * float(all_told[f"speech/{name}"]) for name, weight in speech.WEIGHTS.items()), rel=1e-4
    )


def test_validation_tells_groups_apart() -> None:
    clips = [footage("word", 1.2, 0), footage("wild", 3.2, 1)]
    task = speech.SpeechTask(speech.fresh(), lambda _: {}, clips)
    told = task.validate(task.model, Path(), 0)
    assert {"val/words_r", "val/wild_r", "val/words_mean", "val/wild_mean", "score"} == set(told)
