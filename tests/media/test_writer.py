"""Writing: times, size, format and colours survive; whatever fails leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_media import make_picture, make_video, stripes
from kouxing.errors import OutputError
from kouxing.media.colour import planes_from_rgb
from kouxing.media.reader import probe, read_video
from kouxing.media.writer import AVX_512, VideoWriter, exact_base
from kouxing.types import Colour, VideoFrame

SMALL = Colour("yuv420p", "bt601", False)


def small_frames(pts: list[int], time_base: Fraction, size: tuple[int, int] = (32, 32)) -> list[VideoFrame]:
    picture = stripes(size)
    return [VideoFrame(planes_from_rgb(picture(n), SMALL), when, time_base, SMALL) for n, when in enumerate(pts)]


def copy(source: Path, out: Path) -> None:
    with VideoWriter(out, like=probe(source)) as writer:
        for frame in read_video(source):
            writer.write(frame)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mkv", {"vfr": True, "rate": Fraction(30000, 1001)}),
        ("b.mp4", {"vfr": True, "options": {"preset": "medium", "bf": "3"}}),
        ("a.avi", {"rate": Fraction(24000, 1001)}),
        ("a.webm", {}),
        ("a.mov", {"pix_fmt": "yuv422p", "tags": (1, 1, 1, 1)}),
        ("j.mp4", {"pix_fmt": "yuvj420p"}),
        ("full.mp4", {"tags": (1, 2, 1, 1)}),
        ("444.mp4", {"pix_fmt": "yuv444p", "tags": (5, 1, 5, 6)}),
        ("10.mp4", {"pix_fmt": "yuv420p10le", "tags": (9, 1, 9, 18)}),
        ("turned.mp4", {"rotation": 90}),
        ("odd.mkv", {"codec": "ffv1", "size": (161, 121)}),
        ("odd444.mkv", {"codec": "ffv1", "size": (161, 121), "pix_fmt": "yuv444p"}),
        ("odd422.mkv", {"codec": "ffv1", "size": (161, 121), "pix_fmt": "yuv422p"}),
    ],
)
def test_a_copy_is_alike(tmp_path: Path, name: str, options: dict) -> None:
    source, out = tmp_path / name, tmp_path / "out.mp4"
    make_video(source, frames=20, **options)
    copy(source, out)
    before, after = list(read_video(source)), list(read_video(out))
    was, now = probe(source), probe(out)
    assert [frame.time for frame in after] == [frame.time for frame in before]
    assert (now.width, now.height) == (was.width, was.height)
    assert now.colour is not None and was.colour is not None
    assert now.colour.full_range == was.colour.full_range
    assert now.colour.pixel_format.replace("j", "") == was.colour.pixel_format.replace("j", "")
    assert now.colour.tags == was.colour.tags
    if not options.get("vfr"):
        assert now.rate == was.rate
    for old, new in zip(before, after, strict=True):
        assert new.planes[1].shape == old.planes[1].shape
        scale = 4 if "10" in now.colour.pixel_format else 1
        assert np.abs(new.planes[0].astype(int) - old.planes[0]).mean() < 2 * scale
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "out.mp4"])


def test_odd_photo(tmp_path: Path) -> None:
    make_picture(tmp_path / "a.jpg", (81, 61))
    copy(tmp_path / "a.jpg", tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.is_picture) == (81, 61, False)


def test_pixel_shape_is_kept(tmp_path: Path) -> None:
    for wide in (Fraction(16, 15), Fraction(1)):
        like = small_frames([0], Fraction(1, 25))[0]
        make_video(tmp_path / "s.mp4", frames=1, size=(32, 32))
        info = replace(probe(tmp_path / "s.mp4"), sample_aspect=wide)
        with VideoWriter(tmp_path / "out.mp4", like=info) as writer:
            writer.write(like)
        assert probe(tmp_path / "out.mp4").sample_aspect == wide


@settings(max_examples=25)
@given(
    gaps=st.lists(st.integers(1, 5000), min_size=1, max_size=8),
    start=st.integers(0, 10**7),
    time_base=st.one_of(
        st.sampled_from(
            [Fraction(1001, 30000), Fraction(1, 25), Fraction(1, 1000), Fraction(1, 90000), Fraction(1, 14112000)]
        ),
        st.builds(Fraction, st.integers(1, 50), st.integers(1, 1_000_000)),
    ),
)
def test_any_time_base_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int], start: int, time_base: Fraction
) -> None:
    # Two days at most, and no picture longer than the 31 bits of an MP4 duration.
    longest = (2**31 - 1) / (exact_base(time_base).denominator * time_base)
    gaps = [int(min(gap, longest, 100_000 / time_base)) or 1 for gap in gaps]
    start = int(min(start, 100_000 / time_base))
    pts = [start + sum(gaps[:n]) for n in range(len(gaps) + 1)]
    out = tmp_path_factory.mktemp("times") / "a.mp4"
    frames = small_frames(pts, time_base, (16, 16))
    with VideoWriter(out, like=frames[0], rate=Fraction(25)) as writer:
        for frame in frames:
            writer.write(frame)
    got = [frame.time for frame in read_video(out)]
    want = [frame.time - frames[0].time for frame in frames]
    if time_base.denominator <= 10_000_000:
        assert got == want
    else:
        assert all(abs(a - b) < Fraction(len(gaps) + 1, 10**6) for a, b in zip(got, want, strict=True))


def test_time_bases_are_exact_unless_too_fine() -> None:
    assert exact_base(Fraction(1001, 30000)) == Fraction(1, 30000)
    assert exact_base(Fraction(1, 25)) == Fraction(1, 12_800)
    assert exact_base(Fraction(1, 10**9)) == Fraction(1, 10**6)


def test_nothing_appears_before_the_end_or_after_an_error(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    frames = small_frames([0, 1, 2], Fraction(1, 25))
    with pytest.raises(KeyboardInterrupt), VideoWriter(out, like=frames[0]) as writer:
        writer.write(frames[0])
        assert not out.exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_an_older_output_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"older")
    frames = small_frames([0, 1], Fraction(1, 25))
    with pytest.raises(RuntimeError), VideoWriter(out, like=frames[0]) as writer:
        writer.write(frames[0])
        raise RuntimeError
    assert out.read_bytes() == b"older"
    with VideoWriter(out, like=frames[0]) as writer:
        writer.write(frames[0])
    assert probe(out).width == 32


def test_no_frame_at_all(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="single frame"),
        VideoWriter(tmp_path / "a.mp4", like=small_frames([0], Fraction(1, 25))[0]),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_wrong_frames_are_refused(tmp_path: Path) -> None:
    frames = small_frames([5, 5], Fraction(1, 25))
    other = small_frames([9], Fraction(1, 25), (16, 16))[0]
    with pytest.raises(ValueError, match="follow"), VideoWriter(tmp_path / "a.mp4", like=frames[0]) as writer:
        writer.write(frames[0])
        writer.write(frames[1])
    with pytest.raises(ValueError, match="like the first"), VideoWriter(tmp_path / "a.mp4", like=frames[0]) as writer:
        writer.write(other)
    assert list(tmp_path.iterdir()) == []


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    frame = small_frames([0], Fraction(1, 25))[0]
    (tmp_path / "folder").mkdir()
    for path, words in ((tmp_path / "folder", "is a folder"), (tmp_path / "none" / "a.mp4", "does not exist")):
        with pytest.raises(OutputError, match=words) as caught:
            VideoWriter(path, like=frame)
        assert "\n" not in str(caught.value)
    long = tmp_path / ("x" * 300 + ".mp4")
    with pytest.raises(OutputError, match="too long"):
        VideoWriter(long, like=frame)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission"):
        VideoWriter(tmp_path / "a.mp4", like=small_frames([0], Fraction(1, 25))[0])


FULL_DISK = """
import resource, signal, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from kouxing.errors import OutputError
from kouxing.media.colour import planes_from_rgb
from kouxing.media.writer import VideoWriter, join
from kouxing.types import Colour, VideoFrame

folder, job = Path(sys.argv[1]), sys.argv[2]
colour = Colour("yuv420p", "bt601", False)
rng = np.random.default_rng(0)

def write(path):
    black = planes_from_rgb(np.zeros((240, 320, 3), np.uint8), colour)
    with VideoWriter(path, like=VideoFrame(black, 0, Fraction(1, 25), colour)) as writer:
        for n in range(30):
            noise = rng.integers(0, 255, (240, 320, 3)).astype(np.uint8)
            writer.write(VideoFrame(planes_from_rgb(noise, colour), n, Fraction(1, 25), colour))

if job == "join":
    write(folder / "segment.mp4")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    write(folder / "out.mp4") if job == "write" else join([folder / "segment.mp4"], folder / "out.mp4")
except OutputError as error:
    print(error)
    sys.exit(2)
"""


SAME = """
import sys
from fractions import Fraction
from pathlib import Path
from kouxing.media.reader import read_video
from kouxing.media.writer import VideoWriter
frames = list(read_video(Path(sys.argv[1])))
with VideoWriter(Path(sys.argv[2]), like=frames[0], rate=Fraction(25), threads=1) as video:
    for frame in frames:
        video.write(frame)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a memory that can be filled before it is given out")
def test_the_same_pictures_are_the_same_bytes(tmp_path: Path) -> None:
    """Whatever lies in the memory that the encoder is given."""
    make_video(tmp_path / "in.mp4", frames=8, size=(144, 144))
    made = []
    for fill in ("0", "1", "170"):
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
            "MALLOC_PERTURB_": fill,
            "MALLOC_MMAP_THRESHOLD_": "1000000000",
        }
        words = [sys.executable, "-c", SAME, str(tmp_path / "in.mp4"), str(tmp_path / "out.mp4")]
        subprocess.run(words, check=True, timeout=60, env=environment)
        made.append((tmp_path / "out.mp4").read_bytes())
    assert made[0] == made[1] == made[2]


@pytest.mark.skipif(not cv2.checkHardwareSupport(AVX_512), reason="this processor has no AVX-512 to leave out")
def test_any_instructions_make_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_video(tmp_path / "in.mp4", frames=8, size=(144, 144))
    copy(tmp_path / "in.mp4", tmp_path / "older.mp4")
    monkeypatch.setattr("cv2.checkHardwareSupport", lambda feature: False)
    copy(tmp_path / "in.mp4", tmp_path / "newest.mp4")
    assert (tmp_path / "older.mp4").read_bytes() == (tmp_path / "newest.mp4").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
@pytest.mark.parametrize("job", ["write", "join"])
def test_full_disk(tmp_path: Path, job: str) -> None:
    """A file size limit stands for the full disk: writing fails half-way in the same manner."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), job], capture_output=True, text=True, timeout=60,
        env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "out.mp4 cannot be written" in done.stdout and done.stdout.count("\n") == 1
    assert not list(tmp_path.glob("out*"))
