"""Footage as the sync discriminator takes it: mouth pictures and sound of each clip, kept in one file per split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kouxing.data.footage import Footage, cache_folder, checksums, load_footage
from kouxing.data.manifest import Clip, read_manifest
from kouxing.errors import NO_ARRAYS, DataError
from kouxing.face.mouth_picture import mouth_pictures
from kouxing.media.aside import keeping, write_arrays
from kouxing.types import Bool, Bytes, Float
from kouxing.units import MELS_PER_FRAME

VERSION = 1
"""Raise it when mouth pictures are cut in another way."""


@dataclass(frozen=True)
class Mouths:
    """One clip, T frames at ``FRAME_HZ``.

    Attributes:
        clip: its manifest row.
        pictures: ``[T, 48, 64] uint8`` (``face.mouth_picture``).
        mel: ``[4T, 80] float32``; or what a larger encoder made of the sound, ``[rate * T, W]`` (``data.whisper``).
        geometry: ``[T, 16] float32`` (``face.geometry``), for the helping heads of training.
        aperture: ``[T] float32``, inner-lip gap over face width.
        silent, found: ``[T] bool``.
    """

    clip: Clip
    pictures: Bytes
    mel: Float
    geometry: Float
    aperture: Float
    silent: Bool
    found: Bool

    def __len__(self) -> int:
        return len(self.found)

    def __post_init__(self) -> None:
        frames = len(self.found)
        if len(self.pictures) != frames or self.mel.ndim != 2 or (frames and len(self.mel) % frames):
            raise ValueError(f"{frames} frames with pictures {self.pictures.shape} and mel {self.mel.shape}")

    @property
    def rate(self) -> int:
        """Rows of sound per frame."""
        return len(self.mel) // max(1, len(self))

    def part(self, first: int, last: int, late: int = 0) -> Mouths:
        """Pictures ``first..last - 1`` with the sound of ``late`` frames before each: the sound becomes ``late`` late.

        Raises:
            ValueError: the clip has no sound there.
        """
        if not 0 <= first - late <= last - late <= len(self):
            raise ValueError(f"frames {first}..{last} of {len(self)} have no sound {late} frames before")
        mel = self.mel[(first - late) * self.rate : (last - late) * self.rate]
        return Mouths(
            self.clip, self.pictures[first:last], mel, self.geometry[first:last], self.aperture[first:last],
            self.silent[first - late : last - late], self.found[first:last],
        )  # fmt: skip

    def shifted(self, late: int) -> Mouths:
        """The whole of what stays when the sound is made ``late`` frames later (earlier where negative)."""
        return self.part(max(0, late), len(self) + min(0, late), late)


def from_footage(footage: Footage) -> Mouths:
    """Decode the crops of one prepared clip."""
    pictures = mouth_pictures(footage.crop(frame) for frame in range(len(footage)))
    return Mouths(
        footage.clip, pictures, footage.mel, footage.geometry, footage.aperture, footage.silent, footage.found
    )


def load_mouths(data: Path, split: str, progress: Callable[[int, int], None] | None = None) -> list[Mouths]:
    """All usable clips of a split; decoded once, then read from the cache while manifest and files stay as they are.

    Raises:
        DataError: not one usable clip, or no manifest.
    """
    clips = {clip.id: clip for clip in read_manifest(data, split)}
    path = cache_folder(data) / f"mouths-v{VERSION}-{split}.npz"
    crc = np.array([checksums(data, clips[name]) for name in sorted(clips)])
    if path.exists():
        kept = _read(path, clips, crc)
        if kept is not None:
            return kept
    ready = [from_footage(footage) for footage in load_footage(data, split, progress)]
    _write(path, ready, sorted(clips), crc)
    return ready


def _read(path: Path, clips: dict[str, Clip], crc: NDArray[np.int64]) -> list[Mouths] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            if file["asked"].tolist() != sorted(clips):
                return None
            if "crc" in file and not np.array_equal(file["crc"], crc):
                return None
            stored = {name: file[name] for name in file.files}
    except NO_ARRAYS:
        return None
    bounds = stored["bounds"]
    result = []
    for name, first, last in zip(stored["ids"].tolist(), bounds[:-1], bounds[1:], strict=True):
        mel = stored["mel"][first * MELS_PER_FRAME : last * MELS_PER_FRAME].astype(np.float32)
        rows = {part: stored[part][first:last] for part in ("pictures", "geometry", "aperture", "silent", "found")}
        result.append(Mouths(clips[name], mel=mel, **rows))
    return result


def _write(path: Path, ready: Sequence[Mouths], asked: list[str], crc: NDArray[np.int64]) -> None:
    with keeping(path, shared=True) as part:
        rows = {
            name: np.concatenate([getattr(one, name) for one in ready])
            for name in ("pictures", "geometry", "aperture", "silent", "found")
        }
        told = {
            "asked": np.array(asked),
            "crc": crc,
            "ids": np.array([one.clip.id for one in ready]),
            "bounds": np.cumsum([0, *(len(one) for one in ready)]),
            "mel": np.concatenate([one.mel for one in ready]).astype(np.float16),
        }
        write_arrays(part, told | rows)


def speakers(mouths: Sequence[Mouths]) -> dict[str, list[int]]:
    """Places of each speaker's clips.

    Raises:
        DataError: no clip.
    """
    if not mouths:
        raise DataError("no clip with mouth pictures")
    found: dict[str, list[int]] = {}
    for place, one in enumerate(mouths):
        found.setdefault(one.clip.speaker, []).append(place)
    return found
