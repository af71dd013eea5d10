"""Windows of ``multimodal``: modality dropout, muted sound, timing; and sound that is hard to hear."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kouxing.audio.silence import silent_frames  # noqa: E402
from kouxing.data.animate import Take  # noqa: E402
from kouxing.data.manifest import Clip as Row  # noqa: E402
from kouxing.data.mouths import Mouths  # noqa: E402
from kouxing.data.multimodal import Clip, MultimodalWindows, clips_of, subset  # noqa: E402
from kouxing.data.multimodal_heard import Hearing, Version, versions_of  # noqa: E402
from kouxing.data.multimodal_sound import harm, hissing, holes, strange, worse  # noqa: E402
from kouxing.data.phone_ear import EarWindows  # noqa: E402
from kouxing.data.phone_sounds import PhoneRows  # noqa: E402
from kouxing.data.sync import Step  # noqa: E402
from kouxing.eval import sync_corrupt  # noqa: E402
from kouxing.eval.multimodal_sound import muted, over  # noqa: E402
from kouxing.face.mouth_light import even_light  # noqa: E402
from kouxing.text.phones import MOUTHS  # noqa: E402
from kouxing.text.pronounce import Pronouncer  # noqa: E402
from kouxing.text.rows import WIDTH as TEXT  # noqa: E402
from kouxing.text.transcripts import Cue, Transcript  # noqa: E402
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
    rows = (rng.normal(size=(frames, width)).astype(np.float16) for width in (16, 12, 80, 6, 19))
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


class Ears:
    """Hears how loud it is, and nothing else."""

    digest = "a"

    class front:
        @staticmethod
        def hear(samples: np.ndarray) -> np.ndarray:
            return samples.reshape(-1, 640)[:, :8] + 1

    def hear_rows(self, rows: np.ndarray, mel: np.ndarray) -> np.ndarray:
        assert len(mel) == 4 * len(rows)
        return np.tile(rows.mean(1, keepdims=True), 16)


def heard_phones(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    classes = np.full((4 * len(rows), len(MOUTHS)), -9.0, np.float32)
    classes[:, 3] = 0.0
    return classes, rows


def noises(*frames: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.1 * rng.normal(size=640 * count)).astype(np.float32) for count in frames]


def test_what_was_heard_is_kept_for_the_same_sound_text_and_networks_alone(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    said: list[str] = []
    kept, sounds = tmp_path / "heard.npz", noises(50, 75)
    nothing: list[Transcript | None] = [None, None]

    def heard(sounds: list[np.ndarray], texts: list[Transcript | None], digest: str) -> list[list[Version]]:
        hearing = Hearing(cast(Any, Ears()), heard_phones, digest)
        return versions_of(sounds, texts, hearing, 2, 0, kept, said.append)

    first = heard(sounds, nothing, "b")
    again = heard(sounds, nothing, "b")
    assert len(said) == 2 and [len(one.heard) for one in again[1]] == [50, 75]
    for one, other in zip(first[1], again[1], strict=True):
        for name in ("heard", "trunk", "mel", "clear", "text", "muted"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert np.isnan(first[0][0].text).all() and not first[0][0].muted.any()
    heard(sounds, nothing, "c")
    heard([2 * one for one in sounds], nothing, "c")
    heard([2 * one for one in sounds], [Transcript((Cue("hello"),), "t"), None], "c")
    assert len(said) == 8


def test_a_text_lies_where_each_sound_has_it_or_nowhere() -> None:
    pytest.importorskip("espeakng_loader")
    (samples,) = noises(50)
    nowhere, words = np.zeros(50, bool), Transcript((Cue("hello there"),), "t")

    def unsure(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full((4 * len(rows), len(MOUTHS)), -np.log(len(MOUTHS)), np.float32), rows

    with Pronouncer("en") as pronouncer:
        made = Hearing(cast(Any, Ears()), unsure, "").hear(samples, nowhere, words, pronouncer)
        refused = Hearing(cast(Any, Ears()), heard_phones, "").hear(samples, nowhere, words, pronouncer)
    assert made.text.shape == (50, TEXT) and np.isfinite(made.text).all()
    # Another sound is heard there throughout.
    assert np.isnan(refused.text).all()


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


def test_spoiled_sound_has_holes_where_it_says_and_keeps_its_length() -> None:
    rng, (sound, other) = np.random.default_rng(0), noises(50, 20)
    seen = []
    for _ in range(30):
        made, gone = worse(sound, [other], rng)
        assert made.shape == sound.shape and made.dtype == np.float32 and np.abs(made).max() <= 1
        assert not made[np.repeat(gone, 640)].any() and made[~np.repeat(gone, 640)].any()
        seen.append(gone.mean())
    assert min(seen) == 0 and 0.05 < np.mean(seen) < 0.6
    assert holes(2, np.random.default_rng(5)).shape == (2,)
    behind = hissing(sound, rng) - sound
    assert (behind**2).mean() == pytest.approx((sound**2).mean(), rel=0.02)


def test_the_less_is_heard_the_stranger_it_sounds() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    near, far = (np.mean([np.abs(strange(rows, np.random.default_rng(n), most) - rows).mean() for n in range(20)])
                 for most in (0.1, 1.5))  # fmt: skip
    assert far > 2 * near
    clean, noisy = np.full((9, 6), 0.8), np.full((9, 6), 0.3)
    assert harm(clean, noisy) == pytest.approx(0.5) and harm(noisy, clean) == 0 and harm(clean[:0], noisy[:0]) == 0


def test_windows_of_the_phone_network_keep_labels_with_their_sound() -> None:
    classes = np.repeat(np.arange(10), 12)
    rows = np.repeat(np.arange(10, dtype=np.float16), 3)[:, None].repeat(8, 1)
    windows = EarWindows({"words": [PhoneRows((rows, rows), classes)], "made": []}, 20, 6, (5, 5), 0)
    batch = windows(0)
    assert batch["heard"].shape == (6, 30, 8) and batch["classes"].shape == (6, 80)
    for heard, told in zip(batch["heard"][:, 5:25, 0], batch["classes"].reshape(6, 20, 4), strict=True):
        known = (told >= 0).all(1)
        assert known.any() and torch.equal(heard[known], told[known][:, 0].float()) and not heard[~known].any()


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


def test_light_does_not_count() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(40, 120, (6, 48, 64), dtype=np.uint8)
    found = np.array([True] * 5 + [False])
    brighter = (pictures * 2.0).astype(np.uint8)
    brighter[5] = 0
    assert np.abs(even_light(pictures, found)[:5] - even_light(brighter, found)[:5]).max() < 0.2
    assert not even_light(pictures[:0]).size and np.isfinite(even_light(np.zeros_like(pictures))).all()
