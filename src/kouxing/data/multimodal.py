"""What ``multimodal`` learns from: clips as text rows, heard speech (``data.multimodal_heard``) and mouth pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kouxing.arkit import COEFFICIENTS
from kouxing.data import augment, sync_augment
from kouxing.data.animate import Take
from kouxing.data.mouths import Mouths
from kouxing.data.multimodal_heard import Version
from kouxing.data.multimodal_sound import ALONE, STRANGE, STRANGER, harm, strange
from kouxing.data.speech import one_scale
from kouxing.data.sync import Step, places
from kouxing.face.geometry import GEOMETRY
from kouxing.face.mouth_light import even_light
from kouxing.face.mouth_picture import HEIGHT_PX, WIDTH_PX
from kouxing.models.multimodal import MODALITIES
from kouxing.text.rows import WIDTH as TEXT
from kouxing.text.rows import text_rows
from kouxing.types import Bytes, Float
from kouxing.units import MELS_PER_FRAME

Batch = dict[str, Tensor]

SHARES = {"grid": 0.3, "words": 0.15, "wild": 0.4, "taught": 0.15}
VERSIONS = 4
"""Every clip is heard as it is and in three spoiled ways."""
LATE = 0.3
"""Share of the texts that come a frame early or late: aligned times err."""
PLACED = 0.7
"""Share of the texts that lie where the sound of the version has them, as in use; others where the clean sound has."""
SUBSETS = {
    (1, 1, 0): 0.33, (0, 1, 0): 0.2, (1, 0, 0): 0.12, (0, 0, 1): 0.08, (0, 1, 1): 0.1, (1, 0, 1): 0.05,
    (1, 1, 1): 0.12,
}  # fmt: skip
"""Modality dropout: how often which of ``MODALITIES`` are there."""


@dataclass(frozen=True)
class Clip:
    """One clip, T frames; what cannot be known is None.

    Attributes:
        take: coefficients, gap, silence and sound; its arrays are T long.
        geometry: ``[T, 16]`` mouth geometry, every speaker's mouth on one scale; NaN where it is not known.
        text: ``[T, 19]`` (``text.rows``).
        pictures: ``[T, 48, 64] uint8``.
    """

    take: Take
    geometry: Float
    text: Float | None
    pictures: Bytes | None


def clips_of(
    takes: Sequence[Take],
    mouths: Sequence[Mouths],
    classes: Mapping[str, NDArray[np.int64]],
    steps: Mapping[str, Step] | None = None,
) -> list[Clip]:
    """Join takes with their pictures and words; those without pictures and words are left out.

    Args:
        takes: from ``data.animate``.
        mouths: from ``data.mouths``.
        classes: take -> mouth class of every mel frame, where words are known.
        steps: clip -> timing: mouths that are late are moved, clips that do not follow their sound left out.
    """
    scaled = cast("list[Mouths]", one_scale(cast(Any, mouths))) if mouths else []
    seen = {one.clip.id: one for one in scaled}
    clips = []
    for take in takes:
        step = (steps or {}).get(take.name)
        if step is not None and not step.kept:
            continue
        text = text_rows(classes[take.name], len(take)) if take.name in classes else None
        mouth = seen.get(take.name)
        if mouth is None:
            if text is not None:
                clips.append(Clip(take, np.full((len(take), GEOMETRY), np.nan, np.float32), text, None))
            continue
        frames = min(len(take), len(mouth.found))
        at, inside = places(frames, step.late if step is not None else 0)
        moved = replace(
            take, mel=take.mel[: frames * MELS_PER_FRAME], values=take.values[at], gap=take.gap[at],
            silent=take.silent[:frames], found=take.found[at] & inside,
        )  # fmt: skip
        clips.append(Clip(moved, mouth.geometry[at], None if text is None else text[:frames], mouth.pictures[at]))
    return clips


def text_of(clip: Clip, version: Version, there: Sequence[int]) -> Float | None:
    """The text ``[T, 19]`` as in use: beside sound it lies where that very sound has it, and what is not heard there
    does not count; alone where it is known to lie.

    Args:
        clip, version: what is said and heard. there: which of ``MODALITIES`` are given.
    """
    if not there[0] or clip.text is None:
        return None
    text = version.text.astype(np.float32) if there[1] else clip.text
    return text if np.isfinite(text).all() else None


class MultimodalWindows:
    """Endless random batches; batch ``n`` depends only on (seed, n).

    Args:
        clips: what to draw from.
        versions: ``[count][clips]`` of ``versions_of``.
        frames, batch: size of a batch.
        seed: source of chance.
    """

    def __init__(
        self, clips: Sequence[Clip], versions: Sequence[Sequence[Version]], frames: int, batch: int, seed: int
    ) -> None:
        self._clips, self._versions = clips, versions
        self._frames, self._batch, self._seed = frames, batch, seed
        groups = np.array([clip.take.group for clip in clips])
        lengths = np.array([len(clip.take) for clip in clips], float)
        self._drawn = np.zeros(len(clips))
        for group, share in SHARES.items():
            mine = groups == group
            if mine.any():
                self._drawn[mine] = share * np.sqrt(lengths[mine]) / np.sqrt(lengths[mine]).sum()
        self._drawn /= self._drawn.sum()

    def __call__(self, number: int) -> Batch:
        """Batch ``number``: text ``[B, T, 19]``, heard, trunk, mel, clear, present ``[B, T, 3]``, pictures
        ``[N, T, 48, 64]`` of those rows of the batch that show them (``shows [N]``), values ``[B, T, 52]``,
        channels ``[B, 52]``, geometry ``[B, T, 16]``, known (where it is), gap, closed, silent, mask ``[B, T]``."""
        rng = np.random.default_rng([self._seed, number])
        places = rng.choice(len(self._clips), self._batch, p=self._drawn)
        rows = [self._window(self._clips[place], self._versions, place, rng) for place in places]
        pictures = [(row, one["pictures"]) for row, one in enumerate(rows) if one["pictures"] is not None]
        batch = {
            name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0] if name != "pictures"
        }
        shown = [picture for _, picture in pictures] or [np.zeros((0, self._frames, HEIGHT_PX, WIDTH_PX), np.float32)]
        batch["pictures"] = torch.from_numpy(np.stack(shown) if pictures else shown[0])
        batch["shows"] = torch.tensor([row for row, _ in pictures], dtype=torch.int64)
        return batch

    def _window(
        self, clip: Clip, versions: Sequence[Sequence[Version]], place: int, rng: augment.Rng
    ) -> dict[str, Any]:
        take, version = clip.take, versions[rng.integers(len(versions))][place]
        first = int(rng.integers(0, max(1, len(take) - self._frames + 1)))
        part = slice(first, min(len(take), first + self._frames))
        there = subset(clip.text is not None, clip.pictures is not None, rng)
        text = clip.text if clip.text is not None else np.zeros((len(take), TEXT), np.float32)
        if clip.text is not None and there[1] and np.isfinite(version.text).all() and rng.random() < PLACED:
            text = version.text.astype(np.float32)
        if rng.random() < LATE:
            text = np.roll(text, int(rng.choice((-1, 1))), 0)
        width = len(COEFFICIENTS)
        rows = np.column_stack([take.values, take.gap, take.closed, take.silent, take.found])[part].astype(np.float32)
        mask = (rows[:, -1] > 0.5).astype(np.float32)
        if there == (0, 1, 0):
            # What nobody hears, nobody can know.
            mask[version.muted[part]] = 0
        known = np.isfinite(clip.geometry[part]).all(1) & (mask > 0)
        heard, trunk = (rows[part].astype(np.float32) for rows in (version.heard, version.trunk))
        if there == (0, 1, 0):
            heard = strange(heard, rng, ALONE)
        else:
            most = STRANGE + STRANGER * harm(versions[0][place].clear[part], version.clear[part])
            heard, trunk = strange(heard, rng, most), strange(trunk, rng, most)
        made: dict[str, Any] = {
            "text": text[part], "heard": heard, "trunk": trunk,
            "mel": version.mel[part].astype(np.float32), "clear": version.clear[part].astype(np.float32),
            "present": np.repeat(np.array([there], np.float32), len(rows), 0),
            "values": rows[:, :width], "geometry": np.nan_to_num(clip.geometry[part]),
            "known": known.astype(np.float32),
            "gap": rows[:, width], "closed": (rows[:, width + 1] > 0.5).astype(np.float32),
            "silent": (rows[:, width + 2] > 0.5).astype(np.float32), "mask": mask,
        }  # fmt: skip
        if there[2]:
            assert clip.pictures is not None
            made["pictures"] = even_light(sync_augment.seen(clip.pictures[part], rng, rng.random() < 0.3))
        made = {name: _filled(value, self._frames) for name, value in made.items()}
        made.setdefault("pictures", None)
        return made | {"channels": take.channels.astype(np.float32)}


def subset(has_text: bool, has_pictures: bool, rng: augment.Rng) -> tuple[int, ...]:
    """Which of ``MODALITIES`` are there, of those that the clip has; never none."""
    names = list(SUBSETS)
    drawn = names[rng.choice(len(names), p=np.array(list(SUBSETS.values())) / sum(SUBSETS.values()))]
    there = (drawn[0] and has_text, drawn[1], drawn[2] and has_pictures)
    return tuple(int(one) for one in there) if any(there) else (0, 1, 0)


def _filled(rows: NDArray[Any], frames: int) -> NDArray[Any]:
    missing = frames - len(rows)
    return np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)]) if missing else np.asarray(rows)


if len(MODALITIES) != len(next(iter(SUBSETS))):
    raise AssertionError(SUBSETS)
