"""Speech with phones as it sounds, kept, and heard through a front in several versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("torch")

from kouxing.data import phone_sounds
from kouxing.data.phone_sounds import hear, load
from kouxing.data.phones import PhoneSound, set_apart, sound_of
from kouxing.text.phones import Phone


class Loudness:
    """A front that tells how loud each video frame is."""

    def __init__(self, sha256: str = "a") -> None:
        self.card = {"sha256": sha256}
        self.heard = 0

    def hear(self, samples: np.ndarray) -> np.ndarray:
        self.heard += 1
        return np.abs(samples.reshape(-1, 640)).mean(1, keepdims=True).repeat(4, 1)


def some(*frames: int) -> list[PhoneSound]:
    rng = np.random.default_rng(0)
    return [
        PhoneSound(str(n), (0.1 * rng.normal(size=640 * n)).astype(np.float32), rng.integers(0, 16, 4 * n))
        for n in frames
    ]


def test_sounds_have_a_class_for_every_mel_frame_of_whole_video_frames() -> None:
    samples = np.random.default_rng(0).normal(size=22050).astype(np.float32)
    made = sound_of("made", samples, 22050, [Phone("", 0, 0.5), Phone("m", 0.5, 1.0)])
    assert made.samples.shape == (25 * 640,) and made.classes.shape == (100,) and made.samples.dtype == np.float32
    assert len(set(made.classes[:45])) == 1 and len(set(made.classes[55:])) == 1 and made.classes[0] != made.classes[-1]


def test_what_was_heard_is_kept_for_the_same_sounds_and_front_alone(tmp_path: Path) -> None:
    kept, sounds = tmp_path / "rows.npz", some(30, 50)

    def heard(sounds: list[PhoneSound], front: Loudness) -> list[phone_sounds.PhoneRows]:
        return hear(sounds, cast(Any, front), 3, 0, kept, lambda line: None)

    front = Loudness()
    first = heard(sounds, front)
    assert front.heard == 6 and [len(one.versions) for one in first] == [3, 3]
    assert [rows.shape for rows in first[1].versions] == [(50, 4)] * 3 and len(first[1].classes) == 200
    assert not np.array_equal(first[0].versions[0], first[0].versions[1])
    again = heard(sounds, front)
    assert front.heard == 6 and np.array_equal(again[1].versions[2], first[1].versions[2])
    for others, other in ((sounds, Loudness("b")), (sounds[:1], front), (sounds[::-1], front)):
        before = other.heard
        heard(others, other)
        assert other.heard == before + 3 * len(others)


def test_the_same_are_held_out_whatever_is_too_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled = some(30, 0, 31, 32, 33)
    _, real, held_out = set_apart([], labelled)
    assert [one.name for one in held_out] == ["30", "32"] and [one.name for one in real] == ["0", "31", "33"]
    monkeypatch.setattr(phone_sounds, "cache_folder", lambda data: tmp_path / "footage")
    monkeypatch.setattr(phone_sounds, "_cached", lambda *_: [])
    monkeypatch.setattr(phone_sounds, "load_labelled", lambda data, of: labelled)
    found = load(tmp_path, lambda line: None)
    assert [one.name for one in found.held_out] == ["30", "32"] and [one.name for one in found.labelled] == ["31", "33"]
    # Nothing is labelled: some of what was made.
    assert [len(part) for part in set_apart(some(*range(1, 41)), [])] == [38, 0, 2]


def test_nothing_is_heard_of_nothing(tmp_path: Path) -> None:
    assert hear([], cast(Any, Loudness()), 3, 0, tmp_path / "rows.npz", lambda line: None) == []


def test_synthesised_sounds_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader")
    monkeypatch.setattr(phone_sounds, "cache_folder", lambda data: tmp_path / "footage")
    monkeypatch.setattr(phone_sounds, "UTTERANCES", 3)
    monkeypatch.setattr(phone_sounds, "synthesise_people", lambda count, seed, of: [])
    first = load(tmp_path, lambda line: None)
    assert first.made and not first.labelled
    monkeypatch.setattr(phone_sounds, "synthesise", lambda *_, **__: pytest.fail("was kept"))
    again = load(tmp_path, lambda line: None)
    assert [one.name for one in again.made] == [one.name for one in first.made]
    # To the last bit: what was heard of them is kept by their checksum.
    assert np.array_equal(again.made[0].samples, first.made[0].samples)
    assert np.array_equal(again.made[0].classes, first.made[0].classes)
