"""What the front hears in clips and takes, in several versions of their sound, kept in the cache folder.

The front hears sound, not mel, so the sound is changed: tempo (with pitch), level, noise or another voice behind it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kouxing.audio.front import AnyFront
from kouxing.data import augment
from kouxing.data.animate import Take
from kouxing.data.footage import Footage, cache_folder
from kouxing.data.heard import PIECE, Heard, listened
from kouxing.data.pretrained import changed
from kouxing.data.speech import CaptureWindows, SpeechWindows
from kouxing.face.closure import lip_distance
from kouxing.media.aside import keeping, make_folder
from kouxing.media.reader import load_sound
from kouxing.models.speech import Ears, SpeechEncoder
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME

Report = Callable[[str], None]
RULES = 2
"""Raised when the same sound is changed or levelled otherwise."""


class FrontSounds:
    """Rows of the front for a data folder's recordings, each version of each heard once.

    Args:
        data: data folder.
        front: of files or of streams.

    Attributes:
        sha256: of the front.
    """

    def __init__(self, data: Path, front: AnyFront) -> None:
        self._data, self._front = data, front
        self.sha256 = str(front.card["sha256"])
        self._folder = cache_folder(data) / f"front-{self.sha256[:12]}"
        make_folder(self._folder)

    def rows(self, name: str, frames: int, version: int = 0, others: Sequence[str] = ()) -> Float:
        """What is heard in a recording of ``frames`` video frames.

        Args:
            name: clip id, or a take of motion capture.
            version: 0 as it is, others changed.
            others: recordings whose voices may be put behind it.

        Returns:
            ``[T, WIDTH] float32``; another number of frames where the tempo is another.
        """
        # Of this very sound, under these very voices: what is told must be of what is heard elsewhere, too.
        heard = zlib.crc32(" ".join(others if version else ()).encode(), zlib.crc32(self._place(name).read_bytes()))
        path = self._folder / f"{name}-{version}-{frames}-{RULES}-{heard:08x}.npy"
        with suppress(FileNotFoundError, ValueError, EOFError):
            return np.asarray(np.load(path, allow_pickle=False), np.float32)
        made = self._front.hear(self.sound(name, frames, version, others)).astype(np.float16)
        with keeping(path) as part, part.open("wb") as file:
            np.save(file, made)
        return made.astype(np.float32)

    def sound(self, name: str, frames: int, version: int = 0, others: Sequence[str] = ()) -> Float:
        """What ``rows`` are of: ``[T * SAMPLES_PER_FRAME]``."""
        sound = self._sound(name, frames)
        if version == 0:
            return sound
        rng = np.random.default_rng([version, zlib.crc32(name.encode())])
        behind = self._sound(others[rng.integers(len(others))]) if others else sound[:0]
        return changed(sound, np.zeros((frames, 1), np.float32), behind, rng)[0]

    def _sound(self, name: str, frames: int | None = None) -> Float:
        samples = load_sound(self._place(name), SAMPLE_HZ).samples
        if frames is None:
            return samples
        wanted = frames * SAMPLES_PER_FRAME
        return np.pad(samples[:wanted], (0, max(0, wanted - len(samples)))).astype(np.float32)

    def _place(self, name: str) -> Path:
        path = self._data / "clips" / f"{name}.mp4"
        return path if path.exists() else self._data / "mocap" / f"{name}.flac"


def front_footage(sounds: FrontSounds, footage: Sequence[Footage], versions: int, report: Report) -> list[Footage]:
    """Every clip in ``versions`` versions, one after the other, with the front's rows ``[T, WIDTH]`` for mel.

    Pictures and landmarks are left out: they are of the first version only.
    """
    names = [clip.clip.id for clip in footage]
    made = []
    for version in range(versions):
        report(f"version {version + 1} of {versions}: hearing {len(footage)} clips")
        for clip in footage:
            rows = sounds.rows(clip.clip.id, len(clip), version, names)
            told = np.column_stack([clip.geometry, clip.aperture, clip.found, clip.silent]).astype(np.float32)
            told = augment.resample(told, len(rows))
            none = clip.lips[:0]
            made.append(
                replace(
                    clip, jpegs=(), mel=rows, lips=none, anchors=none, jaw=none, geometry=told[:, :-3],
                    aperture=told[:, -3], found=told[:, -2] > 0.5, silent=told[:, -1] > 0.5,
                )
            )  # fmt: skip
    return made


def front_takes(sounds: FrontSounds, takes: Sequence[Take], versions: int, report: Report) -> list[Take]:
    """``front_footage`` of takes."""
    names, made = [take.name for take in takes], []
    for version in range(versions):
        report(f"version {version + 1} of {versions}: hearing {len(takes)} takes")
        for take in takes:
            rows = sounds.rows(take.name, len(take), version, names)
            told = np.column_stack([take.values, take.gap, take.silent, take.found]).astype(np.float32)
            told = augment.resample(told, len(rows))
            made.append(
                replace(
                    take, mel=rows, values=told[:, :-3], gap=told[:, -3], silent=told[:, -2] > 0.5,
                    found=told[:, -1] > 0.5,
                )
            )  # fmt: skip
    return made


class FrontWindows(SpeechWindows):
    """Windows of ``front_footage``: what is heard was changed before the front heard it."""

    def _window(self, clip: Footage, rng: augment.Rng) -> dict[str, np.ndarray]:
        first = int(rng.integers(0, max(1, len(clip) - self._frames // 2)))
        count = min(len(clip) - first, int(rng.integers(self._frames // 3, self._frames + 1)))
        near, missing = slice(first, first + count), (0, self._frames - count)
        return {
            "mel": _heard(clip.mel, first, count, self._frames, self._around),
            "geometry": np.pad(clip.geometry[near], (missing, (0, 0))).astype(np.float32),
            "aperture": np.pad(clip.aperture[near], missing).astype(np.float32),
            "mask": np.pad(clip.found[near], missing).astype(np.float32),
            "silent": np.pad(clip.silent[near], missing).astype(np.float32),
        }


class FrontCapture(CaptureWindows):
    """Windows of ``front_takes``."""

    def _window(self, take: Take, rng: augment.Rng) -> dict[str, np.ndarray]:
        first = int(rng.integers(0, max(1, len(take) - self._frames)))
        count = min(len(take) - first, self._frames)
        near, missing = slice(first, first + count), (0, self._frames - count)
        known = take.found[near, None] & take.channels[self._columns]
        values = take.values[near, self._columns] / self._scale
        return {
            "take_mel": _heard(take.mel, first, count, self._frames, self._around),
            "coefficients": np.pad(values, (missing, (0, 0))).astype(np.float32),
            "distance": np.pad(lip_distance(take.values[near]), missing).astype(np.float32),
            "known": np.pad(known, (missing, (0, 0))).astype(np.float32),
        }


def _heard(rows: Float, first: int, count: int, frames: int, around: tuple[int, int]) -> Float:
    """``[before + frames + after, WIDTH]``: rows of ``count`` video frames and what is around them, quiet behind.

    What was said before is known of files, so windows need not begin in silence.
    """
    before, after = around
    near = np.pad(rows, ((before, after), (0, 0)))[first : first + before + count + after]
    return np.pad(near, ((0, frames - count), (0, 0)))


def hear_front(
    encoder: SpeechEncoder | Ears, takes: Sequence[Take], sounds: FrontSounds, versions: int, report: Report = print
) -> list[Heard]:
    """``data.heard.hear_takes`` for an encoder behind the front."""
    versed = front_takes(sounds, takes, versions, report)
    return [heard for n, take in enumerate(versed) for heard in _pieces(encoder, n % len(takes), take)]


@torch.no_grad()
def _pieces(encoder: SpeechEncoder | Ears, place: int, take: Take) -> Iterator[Heard]:
    told = np.column_stack([take.values, take.gap, take.closed, take.silent, take.found]).astype(np.float32)
    features = listened(encoder, [take.mel])[0].half().numpy()
    for first in range(0, len(told), PIECE):
        near = slice(first, first + PIECE)
        yield Heard(place, features[near].copy(), told[near])
