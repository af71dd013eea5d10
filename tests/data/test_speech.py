"""Windows for the speech encoder: sound and labels stay together, whatever is done to either."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kouxing.arkit import PLACE
from kouxing.audio.features import SILENT_MEL
from kouxing.data import augment
from kouxing.data.animate import Take
from kouxing.data.footage import Footage
from kouxing.data.manifest import Clip
from kouxing.data.phones import PhoneClip
from kouxing.data.speech import (
    UNKNOWN,
    CaptureWindows,
    Noises,
    PhoneWindows,
    SpeechWindows,
    in_step,
    is_anchor,
    one_scale,
    together,
)
from kouxing.units import MEL_BANDS, MELS_PER_FRAME

REACH, AFTER = 26, 14
AROUND = (REACH, AFTER)


def pulses(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Sound that is loud in every eighth video frame and a mouth that is open just then."""
    wide = (np.arange(frames) % 8 == 4).astype(np.float32)
    return np.repeat(wide * 3 - 1, MELS_PER_FRAME)[:, None] * np.ones((1, MEL_BANDS), np.float32), wide


def footage(frames: int = 60, seconds: float = 2.4) -> Footage:
    mel, wide = pulses(frames)
    clip = Clip("made", "train", "somebody", "und", seconds, "open", "made")
    empty = np.zeros((frames, 0, 2), np.float32)
    return Footage(
        clip=clip, jpegs=(), mel=mel.astype(np.float32), lips=empty, geometry=np.tile(wide[:, None], 16), aperture=wide,
        anchors=empty, jaw=empty, silent=np.zeros(frames, bool), found=np.ones(frames, bool),
    )  # fmt: skip


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the tempo changes: what is heard stays comparable with what is told."""
    monkeypatch.setattr(augment, "heard", lambda mel, noise, rng: mel)


@pytest.mark.usefixtures("plain")
def test_sound_and_mouth_stay_together() -> None:
    batch = SpeechWindows([footage()], frames=40, batch=16, around=AROUND, seed=0)(0)
    loud = batch["mel"][:, REACH : REACH + 40 * MELS_PER_FRAME].mean(-1).reshape(16, 40, MELS_PER_FRAME).mean(-1)
    for row in range(16):
        inside = batch["mask"][row] > 0
        r = np.corrcoef(loud[row][inside].numpy(), batch["aperture"][row][inside].numpy())[0, 1]
        assert r > 0.85
    # What comes before a window is not given.
    assert (batch["mel"][:, :REACH] == SILENT_MEL).all()


@pytest.mark.usefixtures("plain")
def test_phones_stay_with_their_sound() -> None:
    mel, wide = pulses(60)
    clip = PhoneClip("made", mel.astype(np.float32), np.repeat(wide, MELS_PER_FRAME).astype(np.int64) * 5)
    batch = PhoneWindows([clip], [], Noises([footage()]), frames=30, batch=64, around=AROUND, seed=0)(3)
    assert batch["phone_mel"].shape == (64, REACH + 120 + AFTER, MEL_BANDS) and batch["classes"].shape == (64, 120)
    loud = batch["phone_mel"][:, REACH : REACH + 120].mean(-1)
    told = batch["classes"] != UNKNOWN
    assert ((loud[told] > 0.5) == (batch["classes"][told] == 5)).float().mean() > 0.98
    assert told.sum(1).min() >= 40


@pytest.mark.usefixtures("plain")
def test_motion_capture_stays_with_its_sound() -> None:
    mel, wide = pulses(80)
    values, channels = np.zeros((80, len(PLACE)), np.float32), np.zeros(len(PLACE), bool)
    values[:, PLACE["jawOpen"]] = 0.5 * wide
    channels[PLACE["jawOpen"]] = True
    nobody = np.zeros(80, bool)
    take = Take("made", "mocap", "one", mel.astype(np.float32), values, channels, wide, nobody, ~nobody)
    columns = [PLACE["jawOpen"], PLACE["mouthPucker"]]
    batch = CaptureWindows([take], columns, Noises([footage()]), frames=40, batch=8, around=AROUND, seed=0)(0)
    assert batch["known"][..., 0].sum() > 0 and not batch["known"][..., 1].any()
    loud = batch["take_mel"][:, REACH : REACH + 160].mean(-1).reshape(8, 40, MELS_PER_FRAME).mean(-1)
    known = batch["known"][..., 0] > 0
    assert np.corrcoef(loud[known].numpy(), batch["coefficients"][..., 0][known].numpy())[0, 1] > 0.9


def test_batches_repeat_by_number_and_join() -> None:
    speech = SpeechWindows([footage()], frames=30, batch=4, around=AROUND, seed=0)
    phones = PhoneWindows(
        [PhoneClip("made", np.zeros((90, 80), np.float32), np.ones(90, np.int64))],
        [],
        Noises([footage()]),
        30,
        2,
        AROUND,
        0,
    )
    both = together([speech, phones])
    first, again, other = both(5), both(5), both(6)
    assert set(first) == {"mel", "geometry", "aperture", "mask", "silent", "phone_mel", "classes"}
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["mel"], other["mel"])


def test_a_late_mouth_is_moved_and_what_lies_outside_does_not_count() -> None:
    clip = footage(20)
    late = replace(clip, aperture=np.roll(clip.aperture, 2), geometry=np.roll(clip.geometry, 2, 0))
    back = in_step(late, 2)
    np.testing.assert_array_equal(back.aperture[back.found], clip.aperture[back.found])
    assert back.found.sum() == 18 and in_step(clip, 0) is clip
    np.testing.assert_array_equal(back.mel, clip.mel)


def test_single_words_and_studio_clips_are_anchors() -> None:
    assert not is_anchor(footage(seconds=2.4)) and is_anchor(footage(seconds=1.2))
    studio = footage()
    assert is_anchor(replace(studio, clip=replace(studio.clip, corpus="GRID")))


@pytest.mark.parametrize("what", [augment.room, augment.channel, augment.masked])
def test_other_recordings_keep_shape_and_floor(what: object) -> None:
    rng = np.random.default_rng(0)
    mel = np.maximum(rng.normal(0, 1, (90, MEL_BANDS)), SILENT_MEL + 0.01).astype(np.float32)
    changed = 0
    for _ in range(20):
        made = what(mel, rng)  # type: ignore[operator]
        assert made.shape == mel.shape and made.dtype == np.float32 and made.min() >= SILENT_MEL - 1e-4
        changed += not np.array_equal(made, mel)
    assert changed > 5


def test_echo_rings_on_after_the_sound() -> None:
    mel = np.full((80, MEL_BANDS), SILENT_MEL, np.float32)
    mel[10:14] = 2.0
    made = augment.room(mel, np.random.default_rng(0))
    assert made[20].mean() > SILENT_MEL + 0.1 and made[20].mean() > made[30].mean()
    np.testing.assert_allclose(made[:10], mel[:10], atol=0.05)


def test_a_wide_mouth_and_a_narrow_one_become_one_scale() -> None:
    usual, wide, other = footage(), footage(), footage()
    wide = replace(
        wide, clip=replace(wide.clip, speaker="wide"), geometry=wide.geometry * 1.5, aperture=wide.aperture * 1.5
    )
    other = replace(other, clip=replace(other.clip, speaker="other"))
    first, second, third = one_scale([usual, wide, other])
    np.testing.assert_allclose(first.geometry, usual.geometry)
    np.testing.assert_allclose(second.geometry, first.geometry, rtol=1e-6)
    # What was measured stays what it was.
    np.testing.assert_array_equal(second.aperture, wide.aperture)
    assert third.geometry.max() == pytest.approx(1)


def test_a_face_never_found_has_no_scale() -> None:
    clip = footage()
    lost = replace(clip, clip=replace(clip.clip, speaker="lost"), found=np.zeros(len(clip), bool))
    np.testing.assert_array_equal(one_scale([clip, lost])[1].geometry, lost.geometry)
