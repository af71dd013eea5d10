"""Speech with mouth classes: synthesised once and kept, labels read beside recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kouxing.data import phones
from kouxing.data.phones import cached, clip_of, load_labelled, synthesise
from kouxing.errors import DataError
from kouxing.text.phones import CLASS, MOUTHS, REST, Phone
from kouxing.units import MEL_HZ
from shared import SHARED, needs_shared


def test_classes_fit_the_sound_at_any_rate() -> None:
    samples = np.zeros(22050, np.float32)
    samples[11025:16537] = 0.3 * np.sin(np.arange(5512) * 0.3)
    clip = clip_of("made", samples, 22050, [Phone("", 0, 0.5), Phone("m", 0.5, 0.75), Phone("", 0.75, 1.0)])
    assert len(clip.mel) == len(clip.classes) == MEL_HZ
    loud = clip.mel.max(1) > clip.mel.max() - 1
    assert ((clip.classes == CLASS["bilabial"]) == loud).mean() > 0.95


def test_synthesis_is_repeatable_kept_and_made_again_when_asked_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("espeakng_loader")
    path = tmp_path / "kept" / "phones.npz"
    made = cached(path, 5, seed=1)
    assert made and all(len(clip.mel) == len(clip.classes) for clip in made)
    assert all(clip.classes.min() >= 0 and clip.classes.max() < len(MOUTHS) for clip in made)
    assert any((clip.classes != REST).any() for clip in made)
    again = synthesise(5, 1, of=clip_of)
    assert [clip.name for clip in again] == [clip.name for clip in made]
    np.testing.assert_array_equal(again[0].classes, made[0].classes)
    with monkeypatch.context() as patch:
        patch.setattr(phones, "synthesise", lambda *_: pytest.fail("was kept"))
        kept = cached(path, 5, seed=1)
    np.testing.assert_array_equal(kept[-1].classes, made[-1].classes)
    np.testing.assert_allclose(kept[0].mel, made[0].mel, atol=0.02)
    assert len(cached(path, 3, seed=2)) <= 3


def test_a_folder_without_labels_has_none(tmp_path: Path) -> None:
    assert load_labelled(tmp_path, clip_of) == []


def test_a_manifest_cannot_lead_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "phones").mkdir()
    (tmp_path / "phones" / "manifest.csv").write_text("id,labels\na,../../secret.lab\n", encoding="utf-8")
    with pytest.raises(DataError, match="plain file name"):
        load_labelled(tmp_path, clip_of)


@needs_shared
def test_real_labels_stand_where_the_sound_is() -> None:
    clips = load_labelled(SHARED / "data", clip_of)
    assert len(clips) >= 25
    # Speech is louder than its pauses.
    better = [
        clip.mel[clip.classes != REST].mean() > clip.mel[clip.classes == REST].mean()
        for clip in clips
        if (clip.classes == REST).sum() > 10
    ]
    assert np.mean(better) > 0.85
