"""Windows of ``multimodal``: modality dropout, muted sound, timing; and sound that is hard to hear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kouxing.audio.features import SILENT_MEL, log_mel  # noqa: E402
from kouxing.audio.silence import silent_frames  # noqa: E402
from kouxing.data import phone_ear  # noqa: E402
from kouxing.data.animate import Take  # noqa: E402
from kouxing.data.manifest import Clip as Row  # noqa: E402
from kouxing.data.mouths import Mouths  # noqa: E402
from kouxing.data.multimodal import Clip, MultimodalWindows, Version, clips_of, hear, subset, versions_of  # noqa: E402
from kouxing.data.multimodal_sound import harm, holes, strange, worse  # noqa: E402
from kouxing.data.phone_ear import EarWindows, spoiled  # noqa: E402
from kouxing.data.phones import PhoneClip  # noqa: E402
from kouxing.data.sync import Step  # noqa: E402
from kouxing.eval import sync_corrupt  # noqa: E402
from kouxing.eval.multimodal_sound import muted, over  # noqa: E402
from kouxing.face.mouth_light import even_light  # noqa: E402
from kouxing.models.speech import SpeechDimensions  # noqa: E402
from kouxing.train.speech import fresh  # noqa: E402
from kouxing.units import SAMPLE_HZ  # noqa: E402


def take(frames: int, name: str = "a") -> Take:
    rng = np.random.default_rng(frames)
    return Take(
        name=name, group="grid", speaker="s", mel=rng.normal(size=(4 * frames, 80)).astype(np.float32),
        values=(rng.random((frames, 52)) * 0.3).astype(np.float32), channels=np.ones(52, bool),
        gap=rng.random(frames).astype(np.float32), silent=np.zeros(frames, bool), found=np.ones(frames, bool),
    )  # fmt: skip


def clip(frames: int, text: bool, pictures: bool) -> Clip:
    rng = np.random.default_rng(frames)
    return Clip(
        take(frames, f"c{frames}"), rng.normal(size=(frames, 16)).astype(np.float32),
        rng.random((frames, 19)).astype(np.float32) if text else None,
        rng.integers(0, 255, (frames, 48, 64), dtype=np.uint8) if pictures else None,
    )  # fmt: skip


def version(one: Clip) -> Version:
    frames = len(one.take)
    rng = np.random.default_rng(frames)
    hole = np.zeros(frames, bool)
    hole[5:15] = True
    rows = (rng.normal(size=(frames, width)).astype(np.float16) for width in (16, 12, 80, 6))
    return Version(*rows, hole)


def test_batches_are_the_same_again_and_hold_what_they_say() -> None:
    clips = [clip(30, True, True), clip(60, True, False), clip(70, False, True), clip(40, False, False)]
    windows = MultimodalWindows(clips, [[version(one) for one in clips]], 50, 24, 0)
    one, other = windows(3), windows(3)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert one["heard"].shape == (24, 50, 16) and one["trunk"].shape == (24, 50, 12)
    there = one["present"][:, 0]
    assert (there.sum(1) > 0).all()
    shows = torch.nonzero(there[:, 2]).flatten()
    assert torch.equal(shows, one["shows"]) and one["pictures"].shape == (len(shows), 50, 48, 64)
    # What nobody hears is not learned from where sound stands alone.
    alone = (there[:, 1] > 0) & (there[:, 0] == 0) & (there[:, 2] == 0)
    assert (one["mask"][alone][:, 5:15].sum(1) == 0).any() and (one["mask"][~alone][:, 5:15] == 1).all()


def test_what_was_heard_is_kept_for_the_same_sound_and_networks_alone(tmp_path: Path) -> None:
    small = SpeechDimensions(width=8, hidden=8)
    encoder, other, ear = fresh(0, small).encoder, fresh(1, small).encoder, fresh(2, small)
    clips, said = [clip(20, False, False), clip(30, False, False)], []
    kept = tmp_path / "heard.npz"

    def heard(clips: list[Clip], by: Any, through: Any) -> np.ndarray:
        return versions_of(clips, by, through, 1, 0, kept, said.append)[0][0].heard

    first = heard(clips, encoder, ear)
    assert np.array_equal(heard(clips, encoder, ear), first) and len(said) == 1
    assert not np.array_equal(heard(clips, other, ear), first) and len(said) == 2
    heard(clips, other, fresh(3, small))
    louder = [replace(one, take=replace(one.take, mel=one.take.mel + 1)) for one in clips]
    heard(louder, other, fresh(3, small))
    assert len(said) == 4


def test_a_subset_is_never_empty_nor_of_what_is_missing() -> None:
    rng = np.random.default_rng(0)
    for text, pictures in ((True, True), (False, True), (True, False), (False, False)):
        drawn = {subset(text, pictures, rng) for _ in range(300)}
        assert all(any(one) and one[0] <= text and one[2] <= pictures for one in drawn)
        assert len(drawn) == {2: 7, 1: 3, 0: 1}[text + pictures]


def test_late_mouths_are_moved_and_foreign_sound_is_left_out() -> None:
    row = Row("a", "train", "s", "en", 2.0, "open", "c")
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (50, 48, 64), dtype=np.uint8)
    mouth = Mouths(
        row, pictures, np.zeros((200, 80), np.float32), rng.normal(size=(50, 16)).astype(np.float32),
        np.full(50, 0.1, np.float32), np.zeros(50, bool), np.ones(50, bool),
    )  # fmt: skip
    own = take(50)
    (made,) = clips_of([own], [mouth], {}, {"a": Step(3, 0.1, 0.5, True)})
    assert made.pictures is not None and (made.pictures[:47] == pictures[3:]).all() and not made.take.found[47:].any()
    assert (made.take.values[:47] == own.values[3:]).all() and (made.take.mel == own.mel).all()
    assert clips_of([own], [mouth], {}, {"a": Step(0, 0.0, 0.0, False)}) == []
    assert clips_of([own], [], {}) == []


def test_hearing_several_at_once_is_hearing_one() -> None:
    small = fresh(0, SpeechDimensions(width=16, hidden=16)).eval()
    sounds = [take(20).mel, take(33).mel]
    nowhere = [np.zeros(20, bool), np.zeros(33, bool)]
    both = hear(sounds, nowhere, small.encoder, small)
    alone = hear(sounds[:1], nowhere[:1], small.encoder, small)
    assert both[1].heard.shape == (33, 16) and both[0].trunk.shape == (20, 32) and both[1].clear.shape == (33, 6)
    assert np.abs(both[0].heard.astype(float) - alone[0].heard).max() < 2e-3


def test_spoiled_sound_has_holes_where_it_says_and_keeps_its_length() -> None:
    rng, mel = np.random.default_rng(0), take(50).mel + 2
    seen = []
    for _ in range(30):
        made, gone = worse(mel, [take(20).mel], rng)
        assert made.shape == mel.shape and made.dtype == np.float32
        assert (made[np.repeat(gone, 4)] == SILENT_MEL).all() and (made[~np.repeat(gone, 4)] > SILENT_MEL).any()
        seen.append(gone.mean())
    assert min(seen) == 0 and 0.05 < np.mean(seen) < 0.6
    assert holes(2, np.random.default_rng(5)).shape == (2,)


def test_the_less_is_heard_the_stranger_it_sounds() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    near, far = (np.mean([np.abs(strange(rows, np.random.default_rng(n), most) - rows).mean() for n in range(20)])
                 for most in (0.1, 1.5))  # fmt: skip
    assert far > 2 * near
    clean, noisy = np.full((9, 6), 0.8), np.full((9, 6), 0.3)
    assert harm(clean, noisy) == pytest.approx(0.5) and harm(noisy, clean) == 0 and harm(clean[:0], noisy[:0]) == 0


def test_windows_of_the_phone_network_keep_labels_with_their_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_ear, "spoiled", lambda mel, backgrounds, rng: mel)
    classes = np.repeat(np.arange(10), 30)
    mel = np.repeat(np.arange(10, dtype=np.float32), 30)[:, None].repeat(80, 1)
    windows = EarWindows({"words": [PhoneClip("a", mel, classes)]}, [mel], 20, 6, (20, 20), 0)
    batch = windows(0)
    assert batch["mel"].shape == (6, 120, 80) and batch["classes"].shape == (6, 80)
    for sound, told in zip(batch["mel"], batch["classes"], strict=True):
        known = told >= 0
        # Every step is one louder, and bands are alike, so that another voice changes nothing.
        assert np.abs(sound[20:100].mean(1)[known] - told[known]).mean() < 0.1


def test_noise_is_as_loud_as_it_says_and_a_hole_is_one() -> None:
    rng = np.random.default_rng(0)
    speech = np.zeros(3 * SAMPLE_HZ, np.float32)
    speech[SAMPLE_HZ : 2 * SAMPLE_HZ] = 0.2 * rng.normal(size=SAMPLE_HZ)
    spoken = np.repeat(~silent_frames(speech, SAMPLE_HZ), SAMPLE_HZ // 25)
    for level in (10, 0, -5):
        background = over(speech, sync_corrupt.noise, level, np.random.default_rng(1)) - speech
        found = 10 * np.log10((speech[spoken] ** 2).mean() / (background**2).mean())
        assert abs(found - level) < 0.2
    made, hole = muted(speech)
    assert hole.sum() == 25 and np.abs(made[np.repeat(hole, 640)]).max() == 0 and 24 < np.flatnonzero(hole).mean() < 50
    assert spoiled(log_mel(speech), [log_mel(speech)], rng).shape == (300, 80)


def test_light_does_not_count() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(40, 120, (6, 48, 64), dtype=np.uint8)
    found = np.array([True] * 5 + [False])
    brighter = (pictures * 2.0).astype(np.uint8)
    brighter[5] = 0
    assert np.abs(even_light(pictures, found)[:5] - even_light(brighter, found)[:5]).max() < 0.2
    assert not even_light(pictures[:0]).size and np.isfinite(even_light(np.zeros_like(pictures))).all()
