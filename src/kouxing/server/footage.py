"""Footage made ready once to speak live: a piece of it that can be played forth and back, its face followed, its person
encoded, its mouth already closed. Afterwards a picture costs one run of the network while somebody speaks, and nothing
but a read from disk while nobody does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kouxing import __version__
from kouxing.errors import NO_ARRAYS, MediaError, NoFaceError, NoVideoError, OptionError
from kouxing.face.crop import apply, crop_matrices
from kouxing.face.paste import SeamColour
from kouxing.infer import person as persons
from kouxing.infer import references
from kouxing.infer.job import fingerprint
from kouxing.infer.paint import Cast, LipsModel, cast, crop_of
from kouxing.infer.parts import Parts, shipped
from kouxing.infer.references import References
from kouxing.infer.scan import Seen, Tracker
from kouxing.infer.timeline import SELECTED
from kouxing.media.aside import keeping, output_errors
from kouxing.media.colour import planes_from_rgb, to_rgb
from kouxing.media.reader import probe, read_video
from kouxing.server import idle_loop
from kouxing.types import Bytes, Colour, FaceTrack, Float, VideoFrame
from kouxing.units import CROP_PX, FRAME_HZ, FRAME_S, HALF_PX

LOOKED_S, LOOP_S = 30, 20
"""Seconds of the footage that are looked at for references, and the longest piece that is looped."""
SIDE_PX = 512
SMALLEST_PX, LARGEST_PX = 128, 1080
IDLE = ("closed", "filmed")
"""What the mouth does while nobody speaks: it is closed, or does what was filmed."""
COLOUR = Colour("yuv420p", "bt601", False, (5, 1, 6, 6))
"""What browsers take the pictures of a WebRTC stream for."""
FORMAT = 1
ABOUT, LOOP, FILMED, CLOSED, TOPS = "about.json", "loop.npz", "filmed.yuv", "closed.yuv", "tops.rgb"

Progress = Callable[[str, int, "int | None"], None]


@dataclass(frozen=True)
class Footage:
    """A folder of prepared footage.

    Attributes:
        folder: where its pictures lie.
        width, height: of the pictures, even.
        pictures: of the loop, at 25 a second; first: where it begins in what was filmed.
        rows: by name: ``matrices [N, 2, 3]``, ``anchors [N, 8, 2]`` (crop pixels), ``lips [N, 40, 2]``,
            ``jaw [N, 21, 2]`` (picture pixels), ``seam [N, 3, 3]``.
        people: pictures of the person for the network.
        preset: of the network that closed the mouth.
    """

    folder: Path
    width: int
    height: int
    pictures: int
    first: int
    rows: dict[str, Float]
    people: References
    preset: str

    @property
    def picture_bytes(self) -> int:
        """Size of a picture's planes in yuv420p."""
        return self.width * self.height * 3 // 2


def prepare(
    path: Path,
    folder: Path,
    *,
    side_px: int = SIDE_PX,
    preset: str = "fast",
    face_index: int = 0,
    person: Path | None = None,
    progress: Progress | None = None,
    parts: Parts | None = None,
) -> Footage:
    """Make footage ready, or take what an earlier call made of the same file and options.

    Args:
        path: video or photo of the person.
        folder: private; its content is replaced where it is of other footage.
        side_px: length that the shorter side is brought down to, even, 128..1080; smaller footage stays as it is.
        preset: ``fast`` or ``fine``.
        face_index: which face, 0 = the largest.
        person: file of ``fit`` (.kx), fitted for the same preset: its numbers in place of the shipped ones.
        progress: called with (stage, done, total or None); stages are ``look`` and ``close``.
        parts: other pieces than the shipped ones.

    Raises:
        OptionError: a value is out of range.
        MediaError: the file cannot be read; NoVideoError: it has no picture.
        NoFaceError: it does not show the face. OutputError: the folder cannot be written.
        WeightError: weights are missing or damaged.
    """
    if not SMALLEST_PX <= side_px <= LARGEST_PX or side_px % 2:
        raise OptionError(f"picture size {side_px}: give an even number of pixels, {SMALLEST_PX}..{LARGEST_PX}")
    fitted = None if person is None else persons.load(person)
    if person is not None and fitted is not None:
        persons.check_preset(person, fitted, preset)
    parts = parts or shipped(fitted)
    plan = _plan(path, side_px, preset, face_index, parts)
    if _made(folder) == plan:
        # One that was damaged since is made anew.
        with suppress(MediaError):
            return load(folder)
    model = parts.lips(preset)
    told = progress or _silent
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / ABOUT).unlink(missing_ok=True)
        track, sharp, size = _look(path, folder, side_px, lambda: parts.tracker(face_index), told)
        people = cast(track, float(FRAME_HZ))
        if not people.present.any():
            raise NoFaceError(f"{path}: shows no such face in its first {LOOKED_S} s; give footage from the front")
        first, stop = idle_loop.choose(people.present, track.cut, _speed(people), LOOP_S * FRAME_HZ)
        pictures = Pictures(folder / FILMED, *size)
        chosen = _references(people, sharp, pictures)
        model.set_references(chosen)
        seam = _close(folder, pictures, people, (first, stop), model, parts, told)
        pictures.close()
        rows = _rows(people, slice(first, stop)) | {"seam": seam}
        kept = {f"person_{name}": value for name, value in vars(chosen).items()}
        np.savez(folder / LOOP, **rows, **kept)
        about = {"plan": plan, "width": size[0], "height": size[1], "first": first, "pictures": stop - first}
        with keeping(folder / ABOUT) as part:
            part.write_text(json.dumps(about), "utf-8")
    return load(folder)


def load(folder: Path) -> Footage:
    """What ``prepare`` made.

    Raises:
        MediaError: it is missing or not whole.
    """
    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
        with np.load(folder / LOOP, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        person = References(*(arrays.pop(f"person_{name}") for name in ("crops", "geometry", "anchors")))
        width, height, pictures, first = (int(about[key]) for key in ("width", "height", "pictures", "first"))
        preset = str(about["plan"]["preset"])
    except NO_ARRAYS as error:
        raise MediaError(f"{folder}: holds no prepared footage; start again") from error
    return Footage(folder, width, height, pictures, first, arrays, person, preset)


class Pictures:
    """Pictures of one size in one file, read in any order without staying in memory.

    Args:
        path: planes of yuv420p, picture after picture.
        width, height: even.
        first: picture of the file that counts as 0.
    """

    def __init__(self, path: Path, width: int, height: int, first: int = 0) -> None:
        self._file = path.open("rb", buffering=0)
        self._size = (width, height)
        self._bytes = width * height * 3 // 2
        self._first = first

    def __getitem__(self, number: int) -> VideoFrame:
        return frame_of(self.raw(number), *self._size)

    def raw(self, number: int) -> bytes:
        """The planes' bytes.

        Raises:
            MediaError: the file has no such picture.
        """
        self._file.seek((self._first + number) * self._bytes)
        data = self._file.read(self._bytes)
        if len(data) != self._bytes:
            raise MediaError(f"{self._file.name}: picture {number} is gone; start again")
        return data

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def frame_of(raw: bytes, width: int, height: int) -> VideoFrame:
    """The picture of yuv420p planes that lie one after the other."""
    data = np.frombuffer(raw, np.uint8)
    luma, chroma = width * height, width * height // 4
    half = (height // 2, width // 2)
    planes = (
        data[:luma].reshape(height, width),
        data[luma : luma + chroma].reshape(half),
        data[luma + chroma :].reshape(half),
    )
    return VideoFrame(planes, 0, FRAME_S, COLOUR)


def bytes_of(frame: VideoFrame) -> bytes:
    """A picture's planes one after the other."""
    return b"".join(np.ascontiguousarray(plane).tobytes() for plane in frame.planes)


class KeptColour(SeamColour):
    """The seam's colour as it was when the mouth was closed: speaking and silence then join without a change."""

    def __init__(self, plane: Float) -> None:
        super().__init__()
        self.plane = plane

    def follow(self, measured: Float) -> Float:
        """The kept colour, whatever this picture measures."""
        return measured if self.plane is None else self.plane


def _silent(stage: str, done: int, total: int | None) -> None:
    """Progress that nobody asked for."""


def _plan(path: Path, side_px: int, preset: str, face_index: int, parts: Parts) -> dict[str, Any]:
    told = {
        "format": FORMAT,
        "footage": fingerprint(path),
        "side_px": side_px,
        "preset": preset,
        "face_index": face_index,
        "weights": parts.identity(preset),
        "program": __version__,
    }
    return dict(json.loads(json.dumps(told)))


def _made(folder: Path) -> Any:
    try:
        return json.loads((folder / ABOUT).read_text("utf-8"))["plan"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _at_25(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The picture shown at each 25th of a second; a still picture comes once."""
    before: VideoFrame | None = None
    number = 0
    for frame in frames:
        while before is not None and number * FRAME_S < frame.time:
            yield before
            number += 1
        before = frame
    if before is not None and number * FRAME_S <= before.time:
        yield before


def _look(
    path: Path, folder: Path, side_px: int, make: Callable[[], Tracker], told: Progress
) -> tuple[FaceTrack, Float, tuple[int, int]]:
    """Write the scaled pictures and follow the face in them."""
    info = probe(path)
    if not info.has_video:
        raise NoVideoError(f"{path}: has no picture; give a video or a photo of a face")
    total = LOOKED_S * FRAME_HZ if info.seconds is None else min(ceil(info.seconds * FRAME_HZ), LOOKED_S * FRAME_HZ)
    total = 1 if info.is_picture else total
    # Viewers are sent square pixels.
    size = _fitted(info.shown_width, info.height, side_px)
    tracker = make()
    seen: list[Seen] = []
    sharp: list[Float] = []
    try:
        with (folder / FILMED).open("wb") as out:
            for frame in _at_25(read_video(path)):
                small = _scaled(frame, size)
                out.write(bytes_of(small))
                seen.append(tracker.push(small))
                sharp.append(_sharp(small, seen[-1]))
                told("look", len(seen), max(total, len(seen)))
                if len(seen) >= LOOKED_S * FRAME_HZ:
                    break
    finally:
        tracker.close()
    if not seen:
        raise NoVideoError(f"{path}: has no picture that can be decoded; export it again")
    return _track(seen), np.stack(sharp), size


def _track(seen: list[Seen]) -> FaceTrack:
    return FaceTrack(
        lips=np.stack([row.lips for row in seen]),
        anchors=np.stack([row.anchors for row in seen]),
        jaw=np.stack([row.jaw for row in seen]),
        found=np.array([row.found for row in seen], bool),
        cut=np.array([row.cut for row in seen], bool),
    )


def _sharp(frame: VideoFrame, seen: Seen) -> Float:
    if not seen.found:
        return np.zeros(2, np.float32)
    one = np.ones(1, bool)
    return references.sharpness(frame.planes[0], crop_matrices(seen.anchors[None], one, one, float(FRAME_HZ))[0])


def _fitted(width: int, height: int, side_px: int) -> tuple[int, int]:
    """Width and height with the shorter side at most ``side_px``, both even."""
    share = min(Fraction(1), Fraction(side_px, min(width, height)))
    across, down = (max(int(side * share) // 2 * 2, 2) for side in (width, height))
    return across, down


def _scaled(frame: VideoFrame, size: tuple[int, int]) -> VideoFrame:
    rgb = to_rgb(frame)
    if (frame.width, frame.height) != size:
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    return VideoFrame(planes_from_rgb(rgb, COLOUR), 0, FRAME_S, COLOUR)


def _speed(people: Cast) -> Float:
    """How far the head moves from each picture to the next, in its own size; 0 where it is not seen."""
    anchors = people.track.anchors[:, :-1]
    step = np.linalg.norm(np.diff(anchors, axis=0, append=anchors[-1:]), axis=-1).mean(1)
    width = np.linalg.norm(np.ptp(anchors, axis=1), axis=-1)
    return np.nan_to_num(step / np.maximum(width, 1e-6)).astype(np.float32)


def _references(people: Cast, sharp: Float, pictures: Pictures) -> References:
    chosen = references.choose(people.track, people.present, sharp)
    crops = np.stack([crop_of(pictures[at], people.matrices[at]) for at in chosen])
    return references.gather(people.track, people.matrices, chosen, crops)


def _rows(people: Cast, piece: slice) -> dict[str, Float]:
    track, matrices = people.track, people.matrices[piece]
    anchors = apply(matrices, track.anchors[piece])
    return {"matrices": matrices, "anchors": anchors, "lips": track.lips[piece], "jaw": track.jaw[piece]}


def _close(
    folder: Path,
    pictures: Pictures,
    people: Cast,
    piece: tuple[int, int],
    model: LipsModel,
    parts: Parts,
    told: Progress,
) -> Float:
    """Write the loop with its mouth closed, and the upper crop halves for the network; the seams ``[N, 3, 3]``."""
    silence = np.zeros((SELECTED, _width(model)), np.float32)
    rows = _rows(people, slice(*piece))
    colour, seam = SeamColour(), []
    with (folder / CLOSED).open("wb") as closed, (folder / TOPS).open("wb") as tops:
        for number in range(piece[1] - piece[0]):
            frame, matrix = pictures[piece[0] + number], rows["matrices"][number]
            crop = crop_of(frame, matrix, HALF_PX)
            tops.write(crop[:HALF_PX].tobytes())
            image = model.paint(crop, rows["anchors"][number], silence, 1.0)
            parts.paste(frame, image, matrix, rows["jaw"][number], rows["lips"][number], colour)
            plane = np.zeros((3, 3), np.float32) if colour.plane is None else colour.plane
            kept = KeptColour(plane)
            made = parts.paste(frame, image, matrix, rows["jaw"][number], rows["lips"][number], kept)
            seam.append(plane)
            closed.write(bytes_of(made))
            told("close", number + 1, piece[1] - piece[0])
    return np.stack(seam).astype(np.float32)


def _width(model: LipsModel) -> int:
    """Numbers in an audio feature."""
    dimensions: dict[str, Any] = getattr(model, "dimensions", {})
    return int(dimensions.get("features", 16))


def top_of(raw: bytes) -> Bytes:
    """A crop ``[256, 256, 3]`` whose upper half is ``raw``; the lower one, which nobody looks at, is black."""
    crop = np.zeros((CROP_PX, CROP_PX, 3), np.uint8)
    crop[:HALF_PX] = np.frombuffer(raw, np.uint8).reshape(HALF_PX, CROP_PX, 3)
    return crop
