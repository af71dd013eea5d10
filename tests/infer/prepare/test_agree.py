"""The offset of a clip as it lies on the disk: shifted sound is told with its sign, silence is not judged."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fake_data import ANCHORS, JAW, SIDE, lips_at, picture
from fake_media import make_video
from kouxing.infer.prepare import agree
from kouxing.infer.prepare.plan import Chunk, Media, Places, Source
from kouxing.media.join import join
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME
from sync_world import Brightness

FRAMES = 90


def clip(places: Places, name: str, late: int, gain: float) -> None:
    """A drawn face whose open mouth is dark; the sound is loud where it is closed, ``late`` frames later."""
    rng = np.random.default_rng(len(name))
    gaps = np.convolve(rng.uniform(0, 14, FRAMES + 40), np.ones(3) / 3, "same")
    video, sound = places.root / "v.mp4", places.root / "s.wav"
    make_video(video, frames=FRAMES, size=(SIDE, SIDE), picture=lambda n: picture(gaps[20 + n]))
    level = np.repeat(np.roll(1 - gaps / 15, late)[20 : 20 + FRAMES], SAMPLES_PER_FRAME)
    samples = rng.normal(0, 1, len(level)) * level**2 * gain
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_HZ)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    join([video], places.clip(name), sound=sound, seconds=Fraction(FRAMES, FRAME_HZ))
    np.savez(
        places.track(name), lips=np.stack([lips_at(gap) for gap in gaps[20 : 20 + FRAMES]]),
        anchors=np.repeat(ANCHORS[None], FRAMES, 0), jaw=np.repeat(JAW[None], FRAMES, 0), found=np.ones(FRAMES, bool),
    )  # fmt: skip


def test_offsets_are_told_clip_by_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agree, "_network", Brightness)
    places = Places(tmp_path)
    (tmp_path / "clips").mkdir()
    (tmp_path / "tracks").mkdir()
    clip(places, "late", 4, 0.3)
    clip(places, "early", -3, 0.3)
    clip(places, "quiet", 0, 1e-6)
    chunk = Chunk(Media(Source("a", "a.mp4", tmp_path / "a.mp4", "0"), 4.0, SIDE, SIDE, 25.0), 0)
    rows = {row["id"]: row for row in agree.judge(agree.Judging(places, chunk, ("late", "early", "quiet")))["clips"]}
    assert rows["late"]["offset_frames"] == pytest.approx(4, abs=0.6)
    assert rows["early"]["offset_frames"] == pytest.approx(-3, abs=0.6)
    assert rows["late"]["probability"] > 0.5
    assert rows["quiet"]["offset_frames"] is None
