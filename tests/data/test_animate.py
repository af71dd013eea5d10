"""Takes: one time, one scale, lips that touch at distance 0; windows that mask, put silence in, and resume."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from fake_data import make_data
from fake_media import make_sound
from kouxing.arkit import COEFFICIENTS, MEDIAPIPE, PLACE
from kouxing.audio.features import SILENT_MEL
from kouxing.data import animate
from kouxing.data.animate import Take, TakeWindows, calibrated, in_step, lateness, load_takes, put_silence
from kouxing.data.sync import Step
from kouxing.errors import DataError
from kouxing.face.closure import TYPICAL_DISTANCE, lip_distance
from kouxing.units import MELS_PER_FRAME

JAW, CLOSE, SMILE = PLACE["jawOpen"], PLACE["mouthClose"], PLACE["mouthSmileLeft"]


def take(name: str = "a", frames: int = 60, group: str = "wild") -> Take:
    rng = np.random.default_rng(0)
    gap = np.clip(np.sin(np.arange(frames) * 0.4), 0, 1).astype(np.float32)
    values = np.zeros((frames, 52), np.float32)
    values[:, JAW] = 0.27 * gap
    mel = rng.normal(size=(frames * MELS_PER_FRAME, 80)).astype(np.float32)
    known = np.ones(52, bool)
    return Take(name, group, name, mel, values, known, gap, np.zeros(frames, bool), np.ones(frames, bool))


def test_calibrated_lips_touch_where_the_gap_is_at_its_floor() -> None:
    gap = 0.004 + 0.06 * np.clip(np.sin(np.arange(200) * 0.3), 0, 1)
    tracked = np.zeros((200, 52), np.float32)
    # A weak tracker: jawOpen too small, never back at 0, mouthClose silent, a smile at rest.
    tracked[:, JAW] = 0.05 + 1.2 * gap
    tracked[:, SMILE] = 0.3
    made = calibrated(tracked, gap, np.ones(200, bool))
    distance = lip_distance(made)
    assert np.abs(distance[gap < 0.0041]).max() < 1e-5
    assert np.corrcoef(distance, gap)[0, 1] > 0.9999
    assert abs(np.percentile(distance, 95) / TYPICAL_DISTANCE - 1) < 0.02
    assert made[:, CLOSE].max() > 0.03 and made[:, SMILE].max() < 1e-6
    assert made.min() >= 0 and made.max() <= 1


def test_lateness_is_found() -> None:
    curve = np.sin(np.arange(100) * 0.35) + 1
    late = np.interp(np.arange(100) - 0.6, np.arange(100), curve)
    found = np.ones(100, bool)
    assert abs(lateness(late, curve, found) - 0.6) < 0.11
    assert lateness(np.zeros(100), curve, found) == animate.USUAL_LATE


def test_takes_are_put_in_step() -> None:
    late, early, wrong, unknown = (take(name) for name in ("late", "early", "wrong", "unknown"))
    steps = {"late": Step(2, 0, 0, True), "early": Step(-3, 0, 0, True), "wrong": Step(0, 0, 0, False)}
    lines: list[str] = []
    made = in_step([late, early, wrong, unknown], steps, lines.append)
    assert lines == ["2 takes moved in time, 1 left out"]
    assert [one.name for one in made] == ["late", "early", "unknown"] and made[2] is unknown
    assert np.array_equal(made[0].gap[:-2], late.gap[2:]) and np.array_equal(made[0].values[:-2], late.values[2:])
    assert np.array_equal(made[1].gap[3:], early.gap[:-3])
    # What lies behind the end is not learned from, and the sound stays where it is.
    assert not made[0].found[-2:].any() and made[0].found[:-2].all() and not made[1].found[:3].any()
    assert made[0].mel is late.mel and np.array_equal(made[0].silent, late.silent)


def test_footage_and_mocap_become_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    data = make_data(tmp_path / "set")
    with pytest.raises(DataError, match="no clip of split 'train' has coefficients"):
        load_takes(data, "train")
    for path in (data / "tracks").glob("*.npz"):
        with np.load(path) as file:
            stored = dict(file)
        shapes = np.zeros((len(stored["found"]), 51), np.float16)
        gap = np.linalg.norm(stored["lips"][:, 25] - stored["lips"][:, 35], axis=-1)
        shapes[:, MEDIAPIPE.index("jawOpen")] = gap / 40
        np.savez(path, **stored, blendshapes=shapes)
    mocap(data)
    takes = load_takes(data, "train")
    assert [one.group for one in takes] == ["words", "words", "mocap"]
    drawn = takes[0]
    assert len(drawn.mel) == len(drawn) * MELS_PER_FRAME == 40 * MELS_PER_FRAME
    assert np.corrcoef(lip_distance(drawn.values), drawn.gap)[0, 1] > 0.99
    assert drawn.channels[JAW] and not drawn.channels[PLACE["tongueOut"]]
    captured = takes[2]
    assert captured.channels.sum() == 1 and len(captured) == 50
    # 30 fps became 25: the wave's top stands where it stood, or earlier where the session is known to be late.
    assert int(np.argmax(captured.values[:, JAW])) == 25
    monkeypatch.setitem(animate.MOCAP_LATE, "m", 3.0)
    assert int(np.argmax(load_takes(data, "train")[2].values[:, JAW])) == 22
    assert [one.group for one in load_takes(data, "test")] == ["words"]


def mocap(data: Path) -> None:
    (data / "mocap").mkdir()
    values = np.zeros((60, 52), np.float16)
    values[:, JAW] = 0.4 * np.sin(np.pi * np.arange(60) / 60)
    np.savez(
        data / "mocap" / "m.npz", coefficients=values, names=np.array(COEFFICIENTS), valid=np.ones(52, bool), fps=30
    )
    make_sound(data / "mocap" / "m.flac", seconds=2.0, rate=16_000)
    with (data / "mocap" / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "split"), ("m", "train")])


def test_damaged_mocap_is_told(tmp_path: Path) -> None:
    (tmp_path / "mocap").mkdir()
    (tmp_path / "mocap" / "manifest.csv").write_text("id,split\nm,train\n")
    (tmp_path / "mocap" / "m.npz").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"m\.npz"):
        animate.mocap_takes(tmp_path, "train")


def windows(masking: bool = True) -> TakeWindows:
    return TakeWindows([take("a"), take("b", group="grid")], 40, 10, 8, before=13, after=1, seed=3, masking=masking)


def test_batches_depend_on_their_number_only() -> None:
    first, second = windows(), windows()
    second(1)
    for name, value in first(5).items():
        assert torch.equal(value, second(5)[name]), name
    assert not torch.equal(first(5)["mel"], first(6)["mel"])


def test_masks_leave_a_window_about_the_centre() -> None:
    lengths = set()
    for number in range(12):
        batch = windows()(number)
        frames = batch["mask"].shape[1]
        assert batch["mel"].shape[1] == 13 + frames * MELS_PER_FRAME + 1
        lengths.add(frames)
        for row, mel in zip(batch["mask"], batch["mel"], strict=True):
            inside = torch.nonzero(row)[:, 0]
            if len(inside) == 0:
                continue
            first = int(inside[0])
            # What is masked is not heard either.
            assert bool((mel[: 13 + first * MELS_PER_FRAME] == SILENT_MEL).all()) or row[:first].sum() == 0
    assert len(lengths) > 3 and min(lengths) >= 10 and max(lengths) <= 40


def test_without_masking_samples_are_whole() -> None:
    assert {windows(masking=False)(number)["mask"].shape[1] for number in range(4)} == {40}


def test_put_silence_closes_lips_and_leaves_the_edges_out() -> None:
    one, rng = take(frames=100), np.random.default_rng(1)
    flags = np.zeros((100, 4), np.float32)
    flags[:, 0], flags[:, 3] = one.gap, 1
    mel, rows, quiet = put_silence(one.mel, np.column_stack([one.values, flags]), rng)
    assert 10 <= quiet.sum() < 100
    assert np.abs(rows[quiet, JAW]).max() == 0 and rows[quiet, 53].min() == 1
    assert mel[np.repeat(quiet, MELS_PER_FRAME)].mean() < one.mel.mean() - 1
    edge = int(np.flatnonzero(quiet)[0])
    if edge > 2:
        assert rows[edge - 2 : edge + 2, -1].max() == 0 and rows[edge - 3, -1] == 1
    assert one.values[quiet, JAW].max() > 0
