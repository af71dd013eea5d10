"""Sound: any rate, layout and container on one exact sample clock."""

from __future__ import annotations

import subprocess
import wave as wave_module
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_media import best_shift, make_sound, make_video, wave
from kouxing.errors import NoSoundError
from kouxing.media.join import join
from kouxing.media.reader import load_sound, probe, read_sound, read_video
from kouxing.media.sound import resampled
from kouxing.units import SAMPLE_HZ


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


@pytest.mark.parametrize("default", [None, 0, 1])
@pytest.mark.parametrize("late_s", [0, 1])
def test_of_two_sounds_the_default_or_the_first_counts(tmp_path: Path, default: int | None, late_s: int) -> None:
    """Whichever starts late."""
    tone, silence, both = (tmp_path / name for name in ("tone.m4a", "silence.m4a", "both.mkv"))
    make_sound(tone, 2, 48_000, kind="tone")
    make_sound(silence, 2, 48_000, kind="silence")
    with av.open(str(tone)) as first, av.open(str(silence)) as second, av.open(str(both), "w") as made:
        tracks = [made.add_stream_from_template(one.streams.audio[0]) for one in (first, second)]
        if default is not None:
            tracks[default].disposition = Disposition.default
        for place, one in enumerate((first, second)):
            for packet in one.demux(audio=0):
                if packet.size and packet.pts is not None and packet.dts is not None:
                    packet.pts += 0 if place else late_s * 48_000
                    packet.dts += 0 if place else late_s * 48_000
                    packet.stream = tracks[place]
                    made.mux(packet)
    heard = np.abs(load_sound(both).samples[: 2 * SAMPLE_HZ]).max()
    assert heard < 0.01 if default else heard > 0.05


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


@pytest.mark.parametrize("name", ["a.m4a", "a.wav", "a.ogg"])
def test_eight_speakers_are_heard_and_joined(tmp_path: Path, name: str) -> None:
    words = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=220:sample_rate=48000:duration=1", "-af"]
    speakers = "|".join(f"c{number}=c0" for number in range(8))
    subprocess.run([*words, f"pan=7.1|{speakers}", str(tmp_path / name)], check=True)
    samples = load_sound(tmp_path / name).samples
    assert abs(len(samples) - SAMPLE_HZ) < 60 and 0.08 < np.abs(samples[2000:-2000]).max() < 0.14
    make_video(tmp_path / "a.mp4", frames=25)
    join([tmp_path / "a.mp4"], tmp_path / "b.mp4", sound=tmp_path / name, seconds=Fraction(1))
    assert abs(len(load_sound(tmp_path / "b.mp4").samples) - SAMPLE_HZ) < 2


@pytest.mark.parametrize("layout", ["5.0", "6.1", "7.1"])
def test_what_all_speakers_say_does_not_become_louder(tmp_path: Path, layout: str) -> None:
    words = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=220:sample_rate=48000:duration=1", "-af"]
    speakers = "|".join(f"c{number}=4*c0" for number in range(sum(int(one) for one in layout.split("."))))
    subprocess.run([*words, f"pan={layout}|{speakers}", str(tmp_path / "a.wav")], check=True)
    make_video(tmp_path / "a.mp4", frames=25)
    join([tmp_path / "a.mp4"], tmp_path / "b.mp4", sound=tmp_path / "a.wav", seconds=Fraction(1))
    loud = np.abs(load_sound(tmp_path / "b.mp4").samples[2000:-2000]).max()
    assert loud == pytest.approx(0.5, abs=0.03)


def test_speakers_beside_the_usual_ones_keep_their_side(tmp_path: Path) -> None:
    words = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=220:sample_rate=48000:duration=1", "-af"]
    subprocess.run([*words, "pan=7.1(wide)|FLC=4*c0", str(tmp_path / "a.wav")], check=True)
    make_video(tmp_path / "a.mp4", frames=25)
    join([tmp_path / "a.mp4"], tmp_path / "b.mp4", sound=tmp_path / "a.wav", seconds=Fraction(1))
    with av.open(str(tmp_path / "b.mp4")) as made:
        left, right = np.concatenate([frame.to_ndarray() for frame in made.decode(audio=0)], 1)
    assert np.abs(left).max() > 3 * np.abs(right).max()


def test_speakers_without_a_place_are_mixed(tmp_path: Path) -> None:
    tone = (0.2 * np.sin(np.arange(16_000) / 12) * 32767).astype("<i2")
    with wave_module.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(9)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.repeat(tone[:, None], 9, 1).tobytes())
    make_video(tmp_path / "a.mp4", frames=25)
    join([tmp_path / "a.mp4"], tmp_path / "b.mp4", sound=tmp_path / "a.wav", seconds=Fraction(1))
    assert np.abs(load_sound(tmp_path / "b.mp4").samples[2000:-2000]).max() == pytest.approx(0.2, abs=0.03)


def test_what_is_cut_out_of_a_broadcast_is_in_step(tmp_path: Path) -> None:
    # A click with each bright picture, twice a second; the first key frame left is the second of the file.
    clicks = np.zeros(4 * 48_000, np.float32)
    for place in range(8):
        clicks[place * 24_000 : place * 24_000 + 480] = 0.9
    flash = lambda number: np.full((120, 160, 3), 255 if number % 12 < 1 else 0, np.uint8)  # noqa: E731
    times = [Fraction(number, 24) for number in range(96)]
    make_video(
        tmp_path / "a.ts", frames=96, rate=Fraction(24), times=times, picture=flash, samples=clicks, sound_rate=48_000,
        options={"g": "40", "keyint_min": "40", "sc_threshold": "0", "bf": "0"},
    )  # fmt: skip
    content = (tmp_path / "a.ts").read_bytes()
    first = 188 * (len(content) // 188 // 8)
    (tmp_path / "cut.ts").write_bytes(content[first:])
    bright = [float(frame.time) for frame in read_video(tmp_path / "cut.ts") if frame.planes[0].mean() > 120]
    samples = np.abs(load_sound(tmp_path / "cut.ts").samples)
    heard = [at / SAMPLE_HZ for at in np.flatnonzero(samples > 0.3)]
    heard = [at for place, at in enumerate(heard) if place == 0 or at - heard[place - 1] > 0.2]
    assert len(bright) > 2
    for at in bright[1:]:
        assert min(abs(at - one) for one in heard) < 0.03


def test_a_voice_with_opposite_signs_left_and_right_is_heard(tmp_path: Path) -> None:
    said = wave("speechlike", 1.0, 16_000)
    both = np.stack([said, -0.98 * said])
    with wave_module.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, 16_000, 0, "NONE", ""))
        file.writeframes((both.T * 32767).astype("<i2").tobytes())
    np.testing.assert_allclose(load_sound(tmp_path / "a.wav").samples, said, atol=1e-3)


def test_voices_on_the_left_and_on_the_right_are_mixed(tmp_path: Path) -> None:
    said = wave("speechlike", 1.0, 16_000)
    both = np.stack([said, np.zeros_like(said)])
    with wave_module.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((2, 2, 16_000, 0, "NONE", ""))
        file.writeframes((both.T * 32767).astype("<i2").tobytes())
    np.testing.assert_allclose(load_sound(tmp_path / "a.wav").samples, said / 2, atol=1e-3)
