"""Reading: what was put into a file comes out, upright, with its exact times."""

from __future__ import annotations

import gc
import os
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps

from fake_media import corners, make_picture, make_sound, make_video, stripes
from kouxing.errors import MediaError, NoVideoError
from kouxing.media.colour import to_rgb
from kouxing.media.reader import probe, read_video
from kouxing.types import VideoFrame


def corner_names(frame: VideoFrame) -> list[str]:
    """Colour names of the four corners: top left, top right, bottom left, bottom right."""
    image = to_rgb(frame).astype(int)
    height, width = image.shape[:2]
    names = []
    for y, x in ((0.2, 0.2), (0.2, 0.8), (0.8, 0.2), (0.8, 0.8)):
        pixel = image[int(y * height), int(x * width)]
        known = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (235, 235, 235)}
        names.append(min(known, key=lambda name: np.abs(pixel - known[name]).sum()))
    return names


UPRIGHT = ["red", "green", "blue", "white"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mov", {"pix_fmt": "yuv422p"}),
        ("a.mkv", {"vfr": True}),
        ("a.webm", {}),
        ("a.avi", {}),
        ("a.ts", {"sound_rate": 48_000}),
        ("a.mpg", {}),
        ("ntsc.mp4", {"rate": Fraction(30000, 1001)}),
        ("film.mkv", {"rate": Fraction(24), "vfr": True}),
        ("bframes.mp4", {"options": {"preset": "medium", "bf": "3"}, "vfr": True}),
        ("odd.mkv", {"codec": "ffv1", "size": (161, 121)}),
        ("one.mp4", {"frames": 1}),
    ],
)
def test_frames_and_times(tmp_path: Path, name: str, options: dict) -> None:
    path = tmp_path / name
    times = make_video(path, **options)
    width, height = options.get("size", (160, 120))
    info = probe(path)
    frames = list(read_video(path))
    assert info.has_video and not info.is_picture
    assert (info.width, info.height) == (width, height)
    assert len(frames) == len(times)
    tick = frames[0].time_base
    rounded = [round(time / tick) * tick for time in times]
    if "bf" in str(options) or name == "a.mp4":
        assert [frame.time for frame in frames] == times
    assert [frame.time for frame in frames] == rounded
    picture = stripes((width, height))
    for number in (0, len(frames) - 1):
        assert frames[number].planes[0].shape == (height, width)
        assert np.abs(to_rgb(frames[number]).astype(int) - picture(number)).mean() < 6


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
def test_pixel_formats_are_kept(tmp_path: Path, pix_fmt: str) -> None:
    make_video(tmp_path / "a.mkv", frames=2, pix_fmt=pix_fmt)
    frame = next(read_video(tmp_path / "a.mkv"))
    assert frame.colour.pixel_format == pix_fmt
    assert frame.planes[0].dtype == (np.uint16 if "10" in pix_fmt else np.uint8)
    assert np.abs(to_rgb(frame).astype(int) - stripes((160, 120))(0)).mean() < 6


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "kept"),
    [
        ("nv12", "libx264", "yuv420p"),
        ("gray", "ffv1", "yuv420p"),
        ("bgr0", "ffv1", "yuv420p"),
        ("rgb24", "png", "yuv420p"),
        ("yuv422p12le", "ffv1", "yuv422p10le"),
        ("yuva420p", "ffv1", "yuv420p"),
        ("yuv411p", "ffv1", "yuv420p"),
    ],
)
def test_other_formats_become_planes(tmp_path: Path, pix_fmt: str, codec: str, kept: str) -> None:
    path = tmp_path / ("a.mov" if codec == "png" else "a.mkv")
    make_video(path, frames=3, pix_fmt=pix_fmt, codec=codec)
    frames = list(read_video(path))
    assert len(frames) == 3 and frames[0].colour.pixel_format == kept
    want = stripes((160, 120))(0).astype(float)
    if pix_fmt == "gray":
        want = np.repeat((want @ [0.299, 0.587, 0.114])[..., None], 3, axis=2)
    assert np.abs(to_rgb(frames[0]) - want).mean() < 6


@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (5, 1, 5, 6), (1, 2, 1, 1), (9, 1, 9, 14)])
def test_colour_tags(tmp_path: Path, tags: tuple[int, int, int, int]) -> None:
    make_video(tmp_path / "a.mp4", frames=2, tags=tags)
    colour = probe(tmp_path / "a.mp4").colour
    assert colour is not None and colour.tags == tags
    assert colour.matrix == {1: "bt709", 5: "bt601", 9: "bt2020"}[tags[0]]
    assert colour.full_range == (tags[1] == 2)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p"])
@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation(tmp_path: Path, rotation: int, pix_fmt: str) -> None:
    size = (160, 96)
    quarters = rotation // 90 % 4
    # Stored turned the other way, so that the flag brings it upright.
    stored = np.rot90(corners(size)(0), -quarters)
    stored_size = (stored.shape[1], stored.shape[0])
    path = tmp_path / "a.mov"
    make_video(path, frames=3, size=stored_size, picture=lambda n: stored, rotation=rotation, pix_fmt=pix_fmt)
    info = probe(path)
    assert (info.width, info.height, info.rotation_deg) == (*size, rotation % 360)
    for frame in read_video(path):
        assert frame.planes[0].shape == (96, 160)
        assert frame.planes[1].shape == ((48, 80) if pix_fmt == "yuv420p" else (96, 80))
        assert corner_names(frame) == UPRIGHT


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    upright = corners((80, 48))(0)
    back = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
    }
    back |= {6: lambda a: np.rot90(a), 7: lambda a: np.rot90(a, 2).transpose(1, 0, 2), 8: lambda a: np.rot90(a, -1)}
    stored = np.ascontiguousarray(back.get(orientation, lambda a: a)(upright))
    make_picture(tmp_path / "a.jpg", (stored.shape[1], stored.shape[0]), lambda n: stored, orientation)
    frames = list(read_video(tmp_path / "a.jpg"))
    info = probe(tmp_path / "a.jpg")
    assert info.is_picture and info.rate is None and (info.width, info.height) == (80, 48)
    assert len(frames) == 1 and corner_names(frames[0]) == UPRIGHT


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.webp"])
def test_pictures(tmp_path: Path, name: str) -> None:
    make_picture(tmp_path / name, (81, 61))
    info = probe(tmp_path / name)
    (frame,) = read_video(tmp_path / name)
    assert info.is_picture and info.has_video and not info.has_sound
    assert (frame.width, frame.height, frame.pts, frame.colour.pixel_format) == (81, 61, 0, "yuv420p")
    assert np.abs(to_rgb(frame).astype(int) - stripes((81, 61))(0)).mean() < 5


def test_transparent_parts_show_white(tmp_path: Path) -> None:
    make_picture(tmp_path / "a.png", alpha=True)
    image = to_rgb(next(read_video(tmp_path / "a.png"))).astype(int)
    assert image[:, 90:].min() >= 253
    assert np.abs(image[:, :78] - stripes((160, 120))(0)[:, :78]).mean() < 3


def test_what_has_alpha_is_read_by_the_matrix_of_its_size(tmp_path: Path) -> None:
    shown = np.full((720, 1280, 3), (200, 40, 40), np.uint8)
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream: Any = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuva444p"
        frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
        out.mux(stream.encode(frame.reformat(format="yuva444p", dst_colorspace="ITU709", dst_color_range="MPEG")))
        out.mux(stream.encode(None))
    assert np.abs(to_rgb(next(read_video(tmp_path / "a.mkv"))).astype(int) - shown).max() <= 3


def layered(path: Path, form: str, values: tuple[int, ...], cover: NDArray[Any], tags: tuple[int, ...]) -> None:
    """One frame of flat planes beneath ``cover``."""
    height, width = cover.shape
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, form
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        frame = av.VideoFrame(width, height, form)
        kind = np.uint8 if form.endswith("p") else np.uint16
        for plane, value in zip(frame.planes, (*values, None), strict=True):
            rows = np.zeros((plane.height, plane.line_size // np.dtype(kind).itemsize), kind)
            rows[:, : plane.width] = cover if value is None else value
            plane.update(rows.tobytes())
        frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = tags
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("form", "kept", "values", "tags", "white"),
    [
        ("yuva420p", "yuv420p", (90, 110, 150), (1, 1, 1, 1), 235),
        ("yuva422p", "yuv422p", (90, 110, 150), (5, 2, 1, 1), 255),
        ("yuva444p10le", "yuv444p10le", (400, 500, 550), (1, 1, 1, 1), 940),
        ("yuva444p10le", "yuv444p10le", (400, 500, 550), (9, 1, 9, 16), 572),
        ("yuva444p12le", "yuv444p10le", (1600, 2000, 2200), (9, 1, 9, 18), 721),
    ],
)
def test_yuv_beneath_alpha_keeps_its_depth_and_colours(
    tmp_path: Path, form: str, kept: str, values: tuple[int, ...], tags: tuple[int, int, int, int], white: int
) -> None:
    bits = 8 if form.endswith("p") else int(form[-4:-2])
    cover = np.full((61, 81), 2**bits - 1)
    layered(tmp_path / "a.mkv", form, values, cover, tags)
    info, (frame,) = probe(tmp_path / "a.mkv"), read_video(tmp_path / "a.mkv")
    assert info.colour == frame.colour
    assert (frame.colour.pixel_format, frame.colour.full_range, frame.colour.tags) == (kept, tags[1] == 2, tags)
    shown = [value >> (2 if bits == 12 else 0) for value in values]
    assert [set(np.unique(plane)) for plane in frame.planes] == [{value} for value in shown]

    cover[:, :40] = 0
    layered(tmp_path / "b.mkv", form, values, cover, tags)
    (frame,) = read_video(tmp_path / "b.mkv")
    grey = 128 << (0 if bits == 8 else 2)
    assert [int(plane[0, 0]) for plane in frame.planes] == [white, grey, grey]
    assert [int(plane[-1, -1]) for plane in frame.planes] == shown


@pytest.mark.parametrize("orientation", [1, 2, 6, 7])
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_photos_of_other_kinds_stand_upright_too(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(corners((160, 120))(0)).save(tmp_path / name, exif=exif)
    with Image.open(tmp_path / name) as photo:
        wanted = np.asarray(ImageOps.exif_transpose(photo), int)
    shown = to_rgb(next(read_video(tmp_path / name))).astype(int)
    assert shown.shape == wanted.shape and np.abs(shown - wanted).mean() < 6


@pytest.mark.parametrize(("name", "wide"), [("a.jpg", True), ("a.png", True), ("a.jpg", False)])
def test_a_photos_own_colours_are_shown(tmp_path: Path, name: str, wide: bool) -> None:
    """Phones write Display P3, whose red is redder than sRGB's."""
    profile = display_p3() if wide else ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stored = np.full((64, 64, 3), (200, 41, 41), np.uint8)
    Image.fromarray(stored).save(tmp_path / name, icc_profile=profile, quality=98, exif=b"")
    shown = to_rgb(next(read_video(tmp_path / name))).astype(int)[32, 32]
    assert np.abs(shown - ((218, 0, 26) if wide else (200, 41, 41))).max() <= 5


def display_p3() -> bytes:
    """sRGB's profile with the primaries of Display P3 (as ICC profiles have them, adapted to D50), under its name."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {
        b"rXYZ": (0.5151, 0.2412, -0.0011),
        b"gXYZ": (0.2920, 0.6922, 0.0419),
        b"bXYZ": (0.1571, 0.0666, 0.7841),
    }
    for row in range(int.from_bytes(data[128:132], "big")):
        name, at = data[132 + 12 * row : 136 + 12 * row], int.from_bytes(data[136 + 12 * row : 140 + 12 * row], "big")
        if bytes(name) in primaries:
            data[at + 8 : at + 20] = struct.pack(">3i", *(round(65536 * one) for one in primaries[bytes(name)]))
    return bytes(data).replace("sRGB".encode("utf-16-be"), "P3  ".encode("utf-16-be"))


def test_animation_is_no_picture(tmp_path: Path) -> None:
    times = make_video(tmp_path / "a.gif", frames=4, pix_fmt="rgb8")
    assert not probe(tmp_path / "a.gif").is_picture
    assert [frame.time for frame in read_video(tmp_path / "a.gif")] == times


@pytest.mark.parametrize(
    ("name", "vfr", "options"), [("a.mp4", False, {}), ("a.mkv", True, {}), ("b.mp4", True, {"bf": "3"})]
)
def test_start_is_exact(tmp_path: Path, name: str, vfr: bool, options: dict) -> None:
    path = tmp_path / name
    make_video(path, frames=60, vfr=vfr, options={"preset": "medium", "g": "12", **options})
    whole = list(read_video(path))
    for first in (1, 11, 12, 13, 37, 59):
        part = list(read_video(path, whole[first].time))
        assert [frame.pts for frame in part] == [frame.pts for frame in whole[first:]]
        assert np.array_equal(part[0].planes[0], whole[first].planes[0])
        assert np.array_equal(part[-1].planes[1], whole[-1].planes[1])
    between = (whole[20].time + whole[21].time) / 2
    assert next(read_video(path, between)).pts == whole[21].pts
    assert list(read_video(path, whole[-1].time + 1)) == []


def test_times_that_are_taken_or_run_back_are_repaired(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    stamps = [0, 40, 80, 80, 160, 120, 240]  # one twice, one out of order
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number, stamp in enumerate(stamps):
            picture = av.VideoFrame.from_ndarray(stripes((64, 48))(stamp), format="rgb24").reformat(format="yuvj420p")
            for packet in stream.encode(picture):
                packet.pts, packet.dts, packet.time_base = stamp, number - 10, Fraction(1, 1000)
                out.mux(packet)
    times = [frame.time * 1000 for frame in read_video(path)]
    tick = next(read_video(path)).time_base * 1000
    assert times == [0, 40, 80, 80 + tick, 160, 160 + tick, 240]


def test_size_change_within_a_file(tmp_path: Path) -> None:
    make_video(tmp_path / "a.ts", frames=5, size=(160, 120))
    make_video(tmp_path / "b.ts", frames=5, size=(96, 64))
    joined = tmp_path / "c.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    frames = list(read_video(joined))
    assert len(frames) >= 8
    assert {(frame.width, frame.height) for frame in frames} == {(160, 120)}
    pts = [frame.pts for frame in frames]
    assert all(after > before for before, after in zip(pts, pts[1:], strict=False))
    assert frames[-1].time < 1  # the second clock starts anew; it goes on after the first


def test_planes_are_read_only(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=2)
    frame = next(read_video(tmp_path / "a.mp4"))
    with pytest.raises(ValueError, match="read-only"):
        frame.planes[0][0, 0] = 1


def test_cover_picture_of_a_song_is_no_video(tmp_path: Path) -> None:
    make_picture(tmp_path / "cover.png", (32, 32))
    make_sound(tmp_path / "s.wav", 1.0)
    with av.open(str(tmp_path / "a.mp3"), "w") as out, av.open(str(tmp_path / "cover.png")) as cover:
        sound = out.add_stream("libmp3lame", rate=16_000)
        art = out.add_stream_from_template(cover.streams.video[0])
        with av.open(str(tmp_path / "s.wav")) as source:
            for frame in source.decode(audio=0):
                out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
        for packet in cover.demux(video=0):
            if packet.size:
                packet.stream = art
                out.mux(packet)
    info = probe(tmp_path / "a.mp3")
    assert info.has_sound and not info.has_video
    with pytest.raises(NoVideoError):
        next(read_video(tmp_path / "a.mp3"))


def test_4k(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=2, size=(3840, 2160), picture=corners((3840, 2160)))
    frames = list(read_video(tmp_path / "a.mp4"))
    assert len(frames) == 2 and frames[1].width == 3840
    assert frames[0].colour.matrix == "bt709"


def test_reading_is_lazy_and_bounded(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=200, size=(320, 240))

    def alive() -> int:
        # `type`, not isinstance: lazy modules among the objects answer that with warnings.
        return sum(issubclass(type(thing), VideoFrame | av.VideoFrame) for thing in gc.get_objects())

    others, most = alive(), 0
    for number, frame in enumerate(read_video(tmp_path / "a.mp4")):
        del frame
        if number % 20 == 0:
            most = max(most, alive() - others)
    assert most < 40


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_addresses_are_told_what_they_are(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="is a pipe or a device, which can be read only once; save it to a file"):
        probe(tmp_path / "pipe")
    for name in ("http://127.0.0.1:9/x.mp4", "rtsp:/somewhere/x"):
        with pytest.raises(MediaError, match="is an address; download it first"):
            probe(Path(name))
    with pytest.raises(MediaError, match="does not exist"):
        probe(Path("a:b.mp4"))


def test_joined_broadcasts_are_sought_by_no_time(tmp_path: Path) -> None:
    for name, level in (("a", 40), ("b", 200)):
        shown = lambda number, level=level: np.full((120, 160, 3), level + number // 2, np.uint8)  # noqa: E731
        make_video(tmp_path / f"{name}.ts", frames=50, picture=shown, options={"g": "25", "bf": "0"})
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    whole = {frame.time: float(frame.planes[0].mean()) for frame in read_video(joined)}
    assert len(whole) == 100 and max(whole.values()) > 150
    for start in (Fraction(1), Fraction(5, 2), Fraction(3)):
        sought = next(read_video(joined, start))
        assert sought.time >= start and abs(float(sought.planes[0].mean()) - whole[sought.time]) < 2
