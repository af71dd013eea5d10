"""Footage made ready for training, once per data set: upright crops, mouth geometry, mel; kept in a cache folder.

One ``<id>.npz`` per clip, written aside and renamed, so that a killed preparation goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kouxing.audio.features import frame_mels, log_mel
from kouxing.audio.silence import silent_frames
from kouxing.data.manifest import Clip, read_manifest
from kouxing.data.tracks import stored_track, track_path
from kouxing.errors import NO_ARRAYS, DataError, MediaError
from kouxing.face import geometry
from kouxing.face.crop import apply, crop_face, crop_matrices
from kouxing.face.landmarks import EDGE_LEFT, EDGE_RIGHT, NOSE
from kouxing.face.track import FaceTracker
from kouxing.media.aside import keeping, make_folder, write_arrays
from kouxing.media.colour import to_rgb
from kouxing.media.reader import load_sound, read_video
from kouxing.types import Bool, Bytes, Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ

VERSION = 3
"""Raise it when what is stored, or how crops are cut, changes."""
JPEG_QUALITY = 95
SHORTEST_S = 0.8
ORIGIN = ("crc", "made_of")
"""What a cached clip was made of; older programs wrote sizes of files, which do not count."""


@dataclass(frozen=True)
class Footage:
    """One prepared clip, T frames at ``FRAME_HZ``.

    Attributes:
        clip: its manifest row.
        jpegs: T encoded crops, ``[256, 256, 3]`` RGB when decoded by ``crop(i)``.
        mel: ``[T * MELS_PER_FRAME, 80] float32``.
        lips: ``[T, 40, 2] float32`` crop pixels.
        geometry: ``[T, 16] float32`` (``face.geometry``).
        aperture: ``[T] float32``, inner-lip gap over face width.
        anchors, jaw: ``[T, 8, 2]`` and ``[T, 21, 2] float32`` crop pixels.
        silent: ``[T] bool``.
        found: ``[T] bool``; where False the other rows are not to be trained on.
    """

    clip: Clip
    jpegs: tuple[Bytes, ...]
    mel: Float
    lips: Float
    geometry: Float
    aperture: Float
    anchors: Float
    jaw: Float
    silent: Bool
    found: Bool

    def __len__(self) -> int:
        return len(self.found)

    @property
    def pose(self) -> Float:
        """``[T, 3]``: where the nose tip lies in the crop and how wide the face is there."""
        width = np.linalg.norm(self.anchors[:, EDGE_RIGHT] - self.anchors[:, EDGE_LEFT], axis=-1)
        return np.column_stack([self.anchors[:, NOSE], width])

    def crop(self, frame: int) -> Bytes:
        """Decode crop ``frame``: ``[256, 256, 3] uint8`` RGB."""
        image = cv2.imdecode(self.jpegs[frame], cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def cache_folder(data: Path) -> Path:
    """Where the prepared footage of ``data`` is kept (``KOUXING_CACHE``, else ``~/.cache/kouxing``)."""
    root = Path(os.environ.get("KOUXING_CACHE", Path.home() / ".cache" / "kouxing"))
    name = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]
    return root / "footage" / f"v{VERSION}-{name}"


def load_footage(
    data: Path,
    split: str,
    progress: Callable[[int, int], None] | None = None,
    keep: Callable[[Clip], bool] | None = None,
) -> list[Footage]:
    """All usable clips of a split, prepared now where the cache does not have them yet.

    Args:
        data: data folder (``data.manifest``).
        split: which split.
        progress: called with (clips done, clips in all).
        keep: only clips for which this is true.

    Raises:
        DataError: not one usable clip.
    """
    clips = [clip for clip in read_manifest(data, split) if keep is None or keep(clip)]
    ready = list(_load(data, clips, progress))
    if not ready:
        raise DataError(
            f"{data}: no usable clip of split {split!r} (all without face or sound, or shorter than {SHORTEST_S} s)"
        )
    return ready


def _load(data: Path, clips: list[Clip], progress: Callable[[int, int], None] | None) -> Iterator[Footage]:
    folder = cache_folder(data)
    make_folder(folder)
    for done, clip in enumerate(clips, 1):
        path, crc = folder / f"{clip.id}.npz", checksums(data, clip)
        if not path.exists() or _outdated(path, crc):
            made = prepare_clip(data, clip)
            with keeping(path, shared=True) as part:
                write_arrays(part, {**made, "crc": crc})
        footage = _read(path, clip)
        if footage is not None:
            yield footage
        if progress:
            progress(done, len(clips))


def checksums(data: Path, clip: Clip) -> NDArray[np.int64]:
    """``[2]``: CRC-32 of the clip's file and of its track, 0 where there is none."""
    files = (data / "clips" / f"{clip.id}.mp4", track_path(data, clip))
    return np.array([zlib.crc32(path.read_bytes()) if path.exists() else 0 for path in files], np.int64)


def _outdated(path: Path, crc: NDArray[np.int64]) -> bool:
    """Whether the cache is of other files than lie there now, or damaged; caches of older programs do not tell."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return "crc" in file and not np.array_equal(file["crc"], crc)
    except NO_ARRAYS:
        return True


def _read(path: Path, clip: Clip) -> Footage | None:
    with np.load(path, allow_pickle=False) as file:
        if "rejected" in file:
            return None
        stored = {name: file[name] for name in file.files if name not in ORIGIN}
    return unpacked(stored, clip)


def unpacked(stored: dict[str, Any], clip: Clip) -> Footage:
    """Footage of what the cache keeps of a clip (``prepare_clip``)."""
    bounds = stored.pop("offsets")
    data = stored.pop("jpeg")
    jpegs = tuple(data[first:last] for first, last in zip(bounds[:-1], bounds[1:], strict=True))
    floats = {name: value if value.dtype == bool else value.astype(np.float32) for name, value in stored.items()}
    return Footage(clip=clip, jpegs=jpegs, **floats)


def prepare_clip(data: Path, clip: Clip) -> dict[str, np.ndarray]:
    """What the cache stores of one clip, or ``{"rejected": reason}``."""
    path = data / "clips" / f"{clip.id}.mp4"
    track = stored_track(data, clip)
    images = []
    try:
        with FaceTracker() as tracker:
            for frame in read_video(path):
                image = to_rgb(frame)
                images.append(image)
                if track is None:
                    tracker.push(image)
        sound = load_sound(path, SAMPLE_HZ)
    except MediaError as error:
        return {"rejected": np.array(str(error))}
    track = track or tracker.track()
    frames = min(len(images), len(track))
    found = track.found[:frames]
    if found.sum() < SHORTEST_S * FRAME_HZ:
        return {"rejected": np.array(f"face in {int(found.sum())} of {frames} frames")}
    anchors = track.anchors[:frames]
    matrices = crop_matrices(anchors, found, track.cut[:frames], FRAME_HZ)
    lips = apply(matrices, track.lips[:frames])
    points = apply(matrices, anchors)
    width = np.linalg.norm(points[:, EDGE_RIGHT] - points[:, EDGE_LEFT], axis=-1)
    encoded = [encode_crop(crop_face(image, matrix).image) for image, matrix in zip(images, matrices, strict=False)]
    silent = np.ones(frames, bool)
    heard = silent_frames(sound.samples, SAMPLE_HZ)[:frames]
    silent[: len(heard)] = heard
    shapes = geometry.from_lips(lips, geometry.rest(lips[found]))
    return {
        "jpeg": np.concatenate(encoded),
        "offsets": np.cumsum([0, *(len(one) for one in encoded)]),
        "mel": frame_mels(log_mel(sound.samples), frames).astype(np.float16),
        "lips": np.nan_to_num(lips),
        "geometry": np.nan_to_num(shapes),
        "aperture": np.nan_to_num(geometry.gap(lips) / width),
        "anchors": np.nan_to_num(points),
        "jaw": np.nan_to_num(apply(matrices, track.jaw[:frames])),
        "silent": silent,
        "found": found,
    }


def encode_crop(image: Bytes) -> Bytes:
    """One crop as the cache keeps it (``Footage.crop`` gives it back)."""
    kept, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not kept:
        raise DataError("a crop could not be encoded as JPEG")
    return np.asarray(data, np.uint8).reshape(-1)
