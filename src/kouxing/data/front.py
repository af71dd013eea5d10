"""What the front hears in clips and takes, in several versions of their sound, kept in the cache folder.

The front hears sound, not mel, so the sound is changed: tempo (with pitch), level, noise or another voice behind it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kouxing.audio.front import Front
from kouxing.data import augment
from kouxing.data.animate import Take
from kouxing.data.footage import Footage, cache_folder
from kouxing.data.heard import PIECE, Heard, listened
from kouxing.data.pretrained import changed
from kouxing.data.speech import SpeechWindows
from kouxing.media.aside import keeping
from kouxing.media.reader import load_sound
from kouxing.models.speech import Ears, SpeechEncoder
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME

Report = Callable[[str], None]


class FrontSounds:
    """Rows of the front for a data folder's recordings, each version of each heard once.

    Args:
        data: data folder.
        front: it.
    """

    def __init__(self, data: Path, front: Front) -> None:
        self._data, self._front = data, front
        self._folder = cache_folder(data) / f"front-{str(front.card['sha256'])[:12]}"
        self._folder.mkdir(parents=True, exist_ok=True)

    def rows(self, name: str, frames: int, version: int = 0, others: Sequence[str] = ()) -> Float:
        """What is heard in a recording of ``frames`` video frames.

        Args:
            name: clip id, or a take of motion capture.
            version: 0 as it is, others changed.
            others: recordings whose voices may be put behind it.

        Returns:
            ``[T, WIDTH] float32``; another number of frames where the tempo is another.
        """
        path = self._folder / f"{name}-{version}.npy"
        if path.exists():
            return np.asarray(np.load(path, allow_pickle=False), np.float32)
        sound = self._sound(name, frames)
        if version:
            rng = np.random.default_rng([version, zlib.crc32(name.encode())])
            behind = self._sound(others[rng.integers(len(others))]) if others else sound[:0]
            sound, _ = changed(sound, np.zeros((frames, 1), np.float32), behind, rng)
        made = self._front.hear(sound).astype(np.float16)
        with keeping(path) as part, part.open("wb") as file:
            np.save(file, made)
        return made.astype(np.float32)

    def _sound(self, name: str, frames: int | None = None) -> Float:
        path = self._data / "clips" / f"{name}.mp4"
        if not path.exists():
            path = self._data / "mocap" / f"{name}.flac"
        samples = load_sound(path, SAMPLE_HZ).samples
        if frames is None:
            return samples
        wanted = frames * SAMPLES_PER_FRAME
        return np.pad(samples[:wanted], (0, max(0, wanted - len(samples)))).astype(np.float32)


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


class FrontWindows(SpeechWindows):
    """Windows of ``front_footage``: what is heard was changed before the front heard it."""

    def _window(self, clip: Footage, rng: augment.Rng) -> dict[str, np.ndarray]:
        before, after = self._around
        first = int(rng.integers(0, max(1, len(clip) - self._frames // 2)))
        count = min(len(clip) - first, int(rng.integers(self._frames // 3, self._frames + 1)))
        # What was said before is known of files, so windows need not begin in silence.
        rows = np.pad(clip.mel, ((before, after), (0, 0)))[first : first + before + count + after]
        heard = np.zeros((before + self._frames + after, rows.shape[1]), np.float32)
        heard[: len(rows)] = rows
        near, missing = slice(first, first + count), (0, self._frames - count)
        return {
            "mel": heard,
            "geometry": np.pad(clip.geometry[near], (missing, (0, 0))).astype(np.float32),
            "aperture": np.pad(clip.aperture[near], missing).astype(np.float32),
            "mask": np.pad(clip.found[near], missing).astype(np.float32),
            "silent": np.pad(clip.silent[near], missing).astype(np.float32),
        }


def hear_front(
    encoder: SpeechEncoder | Ears, takes: Sequence[Take], sounds: FrontSounds, versions: int, report: Report = print
) -> list[Heard]:
    """``data.heard.hear_takes`` for an encoder behind the front."""
    report(f"hearing {len(takes)} takes in {versions} versions")
    made: list[Heard] = []
    for version in range(versions):
        for place, take in enumerate(takes):
            made += _pieces(encoder, place, take, sounds.rows(take.name, len(take), version, _others(takes)))
    return made


def _others(takes: Sequence[Take]) -> list[str]:
    return [take.name for take in takes]


@torch.no_grad()
def _pieces(encoder: SpeechEncoder | Ears, place: int, take: Take, rows: Float) -> Iterator[Heard]:
    told = np.column_stack([take.values, take.gap, take.closed, take.silent, take.found]).astype(np.float32)
    told = augment.resample(told, len(rows))
    features = listened(encoder, [rows])[0].half().numpy()
    for first in range(0, len(rows), PIECE):
        near = slice(first, first + PIECE)
        yield Heard(place, features[near].copy(), told[near])
