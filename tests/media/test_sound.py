"""Sound: any rate, layout and container on one exact sample clock."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_media import best_shift, make_sound, make_video, wave
from kouxing.errors import NoSoundError
from kouxing.media.reader import load_sound, probe, read_sound
from kouxing.media.sound import resampled


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_rates_and_layouts(tmp_path: Path, rate: int, layout: str) -> None:
    make_sound(tmp_path / "a.wav", 1.3, rate, layout, "tone")
    clip = load_sound(tmp_path / "a.wav")
    want = wave("tone", round(1.3 * rate) / rate, 16_000)
    assert clip.samples.dtype == np.float32 and clip.samples.shape == want.shape
    assert np.abs(clip.samples - want)[200:-200].max() < 0.01
    info = probe(tmp_path / "a.wav")
    assert info.sound_rate_hz == rate and info.sound_seconds == Fraction(round(1.3 * rate), rate)


@pytest.mark.parametrize("name", ["a.flac", "a.mp3", "a.m4a", "a.ogg", "a.mkv", "a.aac"])
def test_containers_keep_the_place_of_every_sample(tmp_path: Path, name: str) -> None:
    make_sound(tmp_path / name, 2.0, 48_000, "stereo", "speechlike")
    samples = load_sound(tmp_path / name).samples
    want = wave("speechlike", 2.0, 48_000)[::3]
    shift = best_shift(samples, want)
    # Raw ADTS has nowhere to tell the coder's 1024 samples of delay (341 at 16 kHz).
    assert shift == (341 if name == "a.aac" else 0)
    if name in ("a.flac", "a.m4a", "a.mkv"):
        assert len(samples) == len(want)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov"])
def test_sound_begins_with_the_picture(tmp_path: Path, name: str) -> None:
    make_video(tmp_path / name, frames=50, sound_rate=48_000, kind="speechlike")
    samples = load_sound(tmp_path / name).samples
    want = wave("speechlike", 2.0, 48_000)[::3]
    assert abs(best_shift(samples, want)) <= 1


@pytest.mark.parametrize("late_ms", [-300, 0, 250])
def test_sound_that_starts_late_or_early(tmp_path: Path, late_ms: int) -> None:
    path = tmp_path / "a.mkv"
    tone = wave("speechlike", 2.0, 16_000)
    with av.open(str(path), "w") as out:
        video = out.add_stream("mjpeg", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p"
        sound = out.add_stream("pcm_s16le", rate=16_000)
        sound.codec_context.layout = "mono"
        base = Fraction(1, 1000)
        for number in range(10):
            for packet in video.encode(av.VideoFrame(64, 48, "yuvj420p")):
                packet.pts = packet.dts = 1000 + number * 40
                packet.time_base = base
                out.mux(packet)
        for start in range(0, len(tone), 1600):
            block = (tone[None, start : start + 1600] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = 16_000
            for packet in sound.encode(frame):
                packet.pts = packet.dts = 1000 + late_ms + start // 16
                packet.time_base = base
                out.mux(packet)
    samples = load_sound(path).samples
    assert best_shift(samples, tone, 8000) == late_ms * 16
    assert len(samples) == len(tone) + late_ms * 16
    if late_ms > 0:
        assert not samples[: late_ms * 16].any()


def test_a_hole_in_the_times_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("pcm_s16le", rate=16_000)
        sound.codec_context.layout = "mono"
        for number, begin in enumerate([0, 100, 700, 800]):
            block = np.full((1, 1600), 1000 * (number + 1), np.int16)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = 16_000
            for packet in sound.encode(frame):
                packet.pts = packet.dts = begin
                packet.time_base = Fraction(1, 1000)
                out.mux(packet)
    samples = load_sound(path).samples
    assert len(samples) == 16_000 * 9 // 10
    assert not samples[3200:11_200].any()
    assert samples[3199] == pytest.approx(2000 / 32768) and samples[11_200] == pytest.approx(3000 / 32768)


def test_same_rate_is_bit_exact(tmp_path: Path) -> None:
    make_sound(tmp_path / "a.wav", 0.5, 16_000, "mono", "noise")
    want = np.round(wave("noise", 0.5, 16_000).astype(np.float64) * 32768) / 32768
    assert np.abs(load_sound(tmp_path / "a.wav").samples - want).max() <= 1 / 32768


def test_no_sound(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=2)
    make_sound(tmp_path / "a.wav", 0.0)
    assert not probe(tmp_path / "a.mp4").has_sound
    for name in ("a.mp4", "a.wav"):
        with pytest.raises(NoSoundError, match=name):
            load_sound(tmp_path / name)


def test_reading_is_lazy(tmp_path: Path) -> None:
    make_sound(tmp_path / "a.wav", 30.0, 48_000, "stereo", "silence")
    sizes = [len(chunk) for chunk in read_sound(tmp_path / "a.wav")]
    assert sum(sizes) == 480_000 and max(sizes) <= 1 << 16


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 4000), min_size=1, max_size=12),
    st.integers(8_000, 96_000),
    st.sampled_from([8_000, 16_000, 44_100, 48_000]),
)
def test_resampling_keeps_the_length(sizes: list[int], rate: int, wanted: int) -> None:
    blocks = (np.full((1, size), 0.5, np.float32) for size in sizes)
    out = list(resampled(blocks, rate, wanted, "mono"))
    assert sum(block.shape[1] for block in out) == round(Fraction(sum(sizes) * wanted, rate))
