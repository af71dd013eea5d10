"""A mouth video -> mouth pictures at 25 a second, whatever rate it has: what ``multimodal`` sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kouxing.errors import NoFaceError, NoVideoError, OptionError
from kouxing.face.crop import crop_face, crop_matrices
from kouxing.face.mouth_picture import HEIGHT_PX, WIDTH_PX, mouth_picture
from kouxing.face.track import FaceTracker
from kouxing.infer.score_watch import steadied
from kouxing.media.colour import to_rgb
from kouxing.media.reader import probe, read_video
from kouxing.types import Bool, Bytes
from kouxing.units import FRAME_HZ

LONGEST_S = 20 * 60
"""Mouth pictures of so long a video are 92 MB."""
FEWEST = 0.2
"""Share of pictures that must show the face."""


@dataclass(frozen=True)
class Looked:
    """What a mouth video shows in T frames at ``FRAME_HZ``.

    Attributes:
        pictures: ``[T, 48, 64] uint8``; black where there is no face.
        found: ``[T] bool``.
    """

    pictures: Bytes
    found: Bool

    def __len__(self) -> int:
        return len(self.found)


def look(path: Path, told: Callable[[int, int | None], None] = lambda done, total: None) -> Looked:
    """Follow the largest face and cut its mouth out, frame by frame; the video is read twice.

    Args:
        path: the mouth video: a face, not a mouth alone.
        told: progress, in frames of both passes.

    Raises:
        MediaError: it cannot be read; NoVideoError where it has no picture, or a single one.
        NoFaceError: hardly any frame shows a face with a mouth.
        OptionError: it is too long.
    """
    info = probe(path)
    if not info.has_video or info.is_picture:
        raise NoVideoError(f"{path}: is no video; --mouth-video wants one of a speaking face")
    if info.seconds is not None and info.seconds > LONGEST_S:
        raise OptionError(f"{path}: longer than {LONGEST_S // 60} minutes; cut it into parts")
    total = None if info.seconds is None else 2 * round(info.seconds * FRAME_HZ)
    done = frames = 0
    with FaceTracker() as tracker:
        for one in steadied(read_video(path)):
            tracker.push(to_rgb(one.frame))
            frames = one.number + one.times
            done += one.times
            told(done, total)
            if one.number > LONGEST_S * FRAME_HZ:
                raise OptionError(f"{path}: longer than {LONGEST_S // 60} minutes; cut it into parts")
        track = tracker.track()
    if not frames or track.found.mean() < FEWEST:
        raise NoFaceError(f"{path}: shows no face with a mouth; --mouth-video wants the whole face from the front")
    matrices = crop_matrices(track.anchors, track.found, track.cut, FRAME_HZ)
    pictures, found = np.zeros((frames, HEIGHT_PX, WIDTH_PX), np.uint8), np.zeros(frames, bool)
    for place, one in enumerate(steadied(read_video(path))):
        if track.found[place]:
            picture = mouth_picture(crop_face(to_rgb(one.frame), matrices[place]).image)
            pictures[one.number : one.number + one.times] = picture
            found[one.number : one.number + one.times] = True
        done += one.times
        told(done, max(done, total or 0))
    return Looked(pictures, found)
