"""A person's own footage made ready for ``fit``: any video, any frame rate, kept in the job's folder as whole files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing.audio.features import frame_mels, log_mel
from kouxing.audio.painter_ear import PainterEar
from kouxing.audio.silence import silent_frames
from kouxing.data.footage import Footage, encode_crop, unpacked
from kouxing.data.manifest import Clip
from kouxing.errors import DataError, NoFaceError, NoSoundError, NoVideoError
from kouxing.face import geometry
from kouxing.face.crop import apply, crop_matrices
from kouxing.face.landmarks import EDGE_LEFT, EDGE_RIGHT
from kouxing.face.track import FaceTracker
from kouxing.infer.job import Job
from kouxing.infer.paint import crop_of
from kouxing.infer.prepare.frames import chunk_frames
from kouxing.media.reader import probe, read_sound
from kouxing.types import Bool, FaceTrack, Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

LEAST_S, GOOD_S, MOST_S = 15, 60, 300
"""Seconds with face and sound: less than the first is refused, less than the second warned of, more than the last is
not looked at."""
BLOCK_S, HELD_EVERY = 4, 6
"""Of so many blocks of this length, or of so many short files, one is held out: it tells when to stop and is never
trained on."""
FEWEST_FRAMES = 20
"""A file with fewer frames to learn from gives no references that lie apart from what is painted."""
GUARD_FRAMES = 6
"""Frames beside a held-out block that are not trained on either: features reach five frames."""

Told = Callable[[str, int, "int | None"], None]


@dataclass(frozen=True)
class Taken:
    """One file's footage, split.

    Attributes:
        footage: all of it, ``found`` where the face is.
        heard: ``[T, D]`` features that the speech encoder hears.
        trained: ``[T] bool``, frames to learn from.
        held: ``[T] bool``, frames that judge.
        scale: ``[T] float32``, frame pixels a crop pixel.
    """

    footage: Footage
    heard: Float
    scale: Float
    trained: Bool
    held: Bool

    @property
    def part(self) -> Footage:
        """The footage with only the frames to learn from marked as found."""
        return replace(self.footage, found=self.trained)

    @property
    def teaches(self) -> bool:
        """Whether it has enough frames to learn from."""
        return int(self.trained.sum()) >= FEWEST_FRAMES

    @property
    def shown(self) -> Bool:
        """``[T] bool``: frames that may be references of held-out ones; where all is held out, the file's own."""
        return self.trained if self.teaches else self.footage.found


def take(files: list[Path], job: Job, told: Told, face_index: int = 0) -> list[Taken]:
    """Follow the face through all files and cut the crops; what an earlier run of the job did is read.

    Args:
        files: videos of one person, with sound.
        job: keeps what is made.
        told: called with (stage, frames done, frames in all).
        face_index: which face of each file's first frame that shows one, 0 = the largest.

    Raises:
        NoVideoError, NoSoundError, NoFaceError, MediaError: a file is not footage of a person talking.
        DataError: too little of it shows the face.
    """
    taken: list[Taken] = []
    left = MOST_S * FRAME_HZ
    for number, path in enumerate(files):
        name = f"watched-{number:03d}.npz"

        def watched(done: int, total: int, number: int = number) -> None:
            # Files count alike: their lengths are not known before they are read.
            told("watch", round(100 * (number + done / max(1, total))), 100 * len(files))

        if not job.has(name) and left > 0:
            job.save_arrays(name, _prepared(path, left, watched, face_index))
        if job.has(name):
            stored = job.load_arrays(name)
            clip = Clip(path.stem, "train", "person", "", len(stored["found"]) / FRAME_HZ, "", "footage")
            heard, scale = stored.pop("heard"), stored.pop("scale")
            footage = unpacked(stored, clip)
            taken.append(_split(footage, heard, scale, MOST_S * FRAME_HZ - left))
            left -= len(footage)
    taken = _whole(taken)
    seconds = sum(int(one.footage.found.sum()) for one in taken) / FRAME_HZ
    if seconds < LEAST_S or not any(one.held.any() for one in taken) or not any(one.teaches for one in taken):
        what = ", ".join(map(str, files))
        raise DataError(f"{what}: shows the face for {seconds:.0f} s only; give 1 to 5 minutes of one person talking")
    return taken


def _split(footage: Footage, heard: Float, scale: Float, before: int) -> Taken:
    """Hold out every ``HELD_EVERY``-th block, counted over all files: ``before`` frames came before this one."""
    frames = np.arange(len(footage))
    block = (before + frames) // (BLOCK_S * FRAME_HZ)
    held = block % HELD_EVERY == HELD_EVERY // 2
    near = np.convolve(held, np.ones(2 * GUARD_FRAMES + 1), "same")[: len(frames)] > 0.5
    return Taken(footage, heard, scale, footage.found & ~near, footage.found & held)


def _whole(taken: list[Taken]) -> list[Taken]:
    """Of many short files some are held out whole: seconds beside what is learnt tell little of other takes."""
    if len(taken) < HELD_EVERY or np.median([len(one.footage) for one in taken]) > 2 * BLOCK_S * FRAME_HZ:
        return taken
    none = [np.zeros(len(one.footage), bool) for one in taken]
    return [
        replace(one, trained=empty, held=one.footage.found)
        if number % HELD_EVERY == HELD_EVERY // 2
        else replace(one, trained=one.footage.found, held=empty)
        for number, (one, empty) in enumerate(zip(taken, none, strict=True))
    ]


def _prepared(path: Path, most: int, told: Callable[[int, int], None], face_index: int) -> dict[str, NDArray[Any]]:
    """What a file shows and says, at 25 frames a second, as ``data.footage`` stores it; and what is heard."""
    info = probe(path)
    if not info.has_video or info.is_picture:
        raise NoVideoError(f"{path}: is no video; give footage of the person talking")
    if not info.has_sound:
        raise NoSoundError(f"{path}: has no sound; give footage of the person talking, with its sound")
    sound = _sound(path, most)
    wanted = min(most, int(len(sound) * FRAME_HZ / SAMPLE_HZ))
    if info.seconds:
        wanted = min(wanted, int(info.seconds * FRAME_HZ))
    track = _followed(path, wanted, told, face_index)
    count = len(track)
    if not track.found.any():
        which = f"no face {face_index} (they are counted from 0, the largest)" if face_index else "no face"
        raise NoFaceError(f"{path}: shows {which}; give footage that shows the person from the front")
    matrices = crop_matrices(track.anchors, track.found, track.cut, FRAME_HZ)
    found = track.found & np.isfinite(matrices).all((1, 2))
    blank = np.zeros((256, 256, 3), np.uint8)
    encoded = []
    for at, (frame, _) in enumerate(chunk_frames(path, 0, count)):
        encoded.append(encode_crop(crop_of(frame, matrices[at]) if found[at] else blank))
        told(count + at + 1, 2 * count)
    found[len(encoded) :] = False
    encoded += [encode_crop(blank)] * (count - len(encoded))
    lips, points = apply(matrices, track.lips), apply(matrices, track.anchors)
    width = np.linalg.norm(points[:, EDGE_RIGHT] - points[:, EDGE_LEFT], axis=-1)
    with np.errstate(invalid="ignore"):
        return {
            "jpeg": np.concatenate(encoded),
            "offsets": np.cumsum([0, *(len(one) for one in encoded)]),
            "mel": frame_mels(log_mel(sound), count).astype(np.float16),
            "lips": np.nan_to_num(lips),
            "geometry": np.nan_to_num(geometry.from_lips(lips, geometry.rest(lips[found]))),
            "aperture": np.nan_to_num(geometry.gap(lips) / width),
            "anchors": np.nan_to_num(points),
            "jaw": np.nan_to_num(apply(matrices, track.jaw)),
            "silent": _silent(sound, count),
            "found": found,
            "heard": _heard(sound, count),
            "scale": np.nan_to_num(1 / np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])).astype(np.float32),
        }


def _sound(path: Path, most: int) -> Float:
    """The samples of the first ``most`` frames, and a little that the encoder looks ahead; a film has far more."""
    parts: list[Float] = []
    left = (most + FRAME_HZ) * SAMPLES_PER_FRAME
    for chunk in read_sound(path, SAMPLE_HZ):
        parts.append(chunk[:left])
        left -= len(parts[-1])
        if left <= 0:
            break
    return np.concatenate([np.zeros(0, np.float32), *parts])


def _followed(path: Path, wanted: int, told: Callable[[int, int], None], face_index: int) -> FaceTrack:
    with FaceTracker(face_index) as tracker:
        for at, (frame, _) in enumerate(chunk_frames(path, 0, wanted)):
            tracker.push(frame)
            told(at + 1, 2 * wanted)
        return tracker.track()


def _silent(sound: Float, frames: int) -> Bool:
    """``[frames]``; what lies beyond the sound is silent."""
    told = silent_frames(sound, SAMPLE_HZ)[:frames]
    return np.concatenate([told, np.ones(frames - len(told), bool)])


def _heard(sound: Float, frames: int) -> Float:
    """What is heard in the sound, ``[frames, D]``, silence not calmed: mouths really open in pauses."""
    features = PainterEar(threads=1).hear(sound)[:frames]
    return np.concatenate([features, np.zeros((frames - len(features), features.shape[1]), np.float32)])
