"""What ``multimodal`` learns from: clips as text rows, heard speech in several spoiled versions, and mouth pictures."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kouxing.arkit import COEFFICIENTS
from kouxing.audio.clearness import clearness
from kouxing.audio.features import SILENT_MEL
from kouxing.data import augment, sync_augment
from kouxing.data.animate import Take
from kouxing.data.mouths import Mouths
from kouxing.data.multimodal_sound import ALONE, STRANGE, STRANGER, harm, strange, worse
from kouxing.data.pretrained import digest
from kouxing.data.speech import one_scale
from kouxing.data.sync import Step, places
from kouxing.face.geometry import GEOMETRY
from kouxing.face.mouth_light import even_light
from kouxing.face.mouth_picture import HEIGHT_PX, WIDTH_PX
from kouxing.media.aside import keeping
from kouxing.models.multimodal import MODALITIES
from kouxing.models.speech import Ears, Listener, SpeechEncoder
from kouxing.text.rows import text_rows
from kouxing.types import Bool, Bytes, Float
from kouxing.units import MEL_BANDS, MELS_PER_FRAME

Batch = dict[str, Tensor]

SHARES = {"grid": 0.4, "words": 0.15, "wild": 0.3, "taught": 0.15}
VERSIONS = 4
"""Every clip is heard as it is and in three spoiled ways."""
LATE = 0.3
"""Share of the texts that come a frame early or late: aligned times err."""
SUBSETS = {
    (1, 1, 0): 0.33, (0, 1, 0): 0.2, (1, 0, 0): 0.12, (0, 0, 1): 0.08, (0, 1, 1): 0.1, (1, 0, 1): 0.05,
    (1, 1, 1): 0.12,
}  # fmt: skip
"""Modality dropout: how often which of ``MODALITIES`` are there."""
TOGETHER = 16


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


@dataclass(frozen=True)
class Version:
    """What is heard of one clip in one version of its sound.

    Attributes:
        heard: ``[T, 16] float16`` of the shared encoder.
        trunk: ``[T, W] float16`` of the phone network.
        mel: ``[T, 80] float16``, mean of the frame's mels.
        clear: ``[T, 6] float16``, how well the sound can be heard (``audio.clearness``).
        muted: ``[T] bool``: the sound was taken away.
    """

    heard: NDArray[np.float16]
    trunk: NDArray[np.float16]
    mel: NDArray[np.float16]
    clear: NDArray[np.float16]
    muted: Bool


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


def versions_of(
    clips: Sequence[Clip], encoder: SpeechEncoder | Ears, ear: Listener, count: int, seed: int,
    kept: Path | None = None, report: Callable[[str], None] = print,
) -> list[list[Version]]:  # fmt: skip
    """Hear every clip as it is and in ``count - 1`` spoiled versions: ``[count][clips]``.

    Args:
        clips: see ``Clip``.
        encoder, ear: the shared encoder and the phone network.
        count: versions.
        seed: source of chance.
        kept: file in which they are kept; made anew where it is of other clips, or was heard by other networks.
        report: where progress goes.
    """
    bounds = np.cumsum([0, *(len(clip.take) for clip in clips)])
    sound = 0
    for clip in clips:
        sound = zlib.crc32(np.ascontiguousarray(clip.take.mel).tobytes(), sound)
    key = f"{count} {seed} {digest(encoder)} {digest(ear)} {sound:08x} " + " ".join(
        f"{clip.take.name}:{len(clip.take)}" for clip in clips
    )
    if kept is not None and kept.exists():
        with np.load(kept, allow_pickle=False) as file:
            if str(file["key"]) == key:
                return [
                    [Version(*rows) for rows in zip(*(np.split(file[f"{name}{n}"], bounds[1:-1]) for name in _PARTS))]  # noqa: B905
                    for n in range(count)
                ]
    rng, made = np.random.default_rng(seed), []
    backgrounds = [clip.take.mel for clip in clips if len(clip.take.mel)]
    for number in range(count):
        report(f"hearing {len(clips)} clips, version {number + 1} of {count}")
        sounds = [
            worse(clip.take.mel, backgrounds, rng) if number else (clip.take.mel, np.zeros(len(clip.take), bool))
            for clip in clips
        ]
        made.append(hear([sound for sound, _ in sounds], [muted for _, muted in sounds], encoder, ear))
    if kept is not None:
        stored = {
            f"{name}{n}": np.concatenate([getattr(one, name) for one in version])
            for n, version in enumerate(made)
            for name in _PARTS
        }
        with keeping(kept, shared=True) as part:
            np.savez(part, key=np.array(key), **stored)
    return made


_PARTS = ("heard", "trunk", "mel", "clear", "muted")


@torch.no_grad()
def hear(sounds: Sequence[Float], muted: Sequence[Bool], encoder: SpeechEncoder | Ears, ear: Listener) -> list[Version]:
    """Several sounds, mel ``[4T, 80]`` each, through both networks."""
    encoder.eval(), ear.eval()
    made: dict[int, Version] = {}
    order = sorted(range(len(sounds)), key=lambda place: len(sounds[place]))
    for first in range(0, len(order), TOGETHER):
        places = order[first : first + TOGETHER]
        longest = max(len(sounds[place]) for place in places)
        told = []
        for network, through in ((encoder, encoder), (ear.encoder, ear.encoder.trunk)):
            size = network.dimensions
            mel = np.full((len(places), size.context_rows + longest, MEL_BANDS), SILENT_MEL, np.float32)
            for row, place in enumerate(places):
                mel[row, size.before_rows : size.before_rows + len(sounds[place])] = sounds[place]
            told.append(through(torch.from_numpy(mel), network.initial_state(len(places)))[0])
        log_probs = (
            ear.classes(told[1]).reshape(len(places), told[1].shape[1] * MELS_PER_FRAME, -1).log_softmax(-1).numpy()
        )
        for row, place in enumerate(places):
            frames = len(sounds[place]) // MELS_PER_FRAME
            own = sounds[place][: frames * MELS_PER_FRAME]
            heard, trunk = (rows[row, :frames].half().numpy() for rows in told)
            means = own.reshape(frames, MELS_PER_FRAME, -1).mean(1).astype(np.float16)
            clear = clearness(own, log_probs[row, : len(own)]).astype(np.float16)
            made[place] = Version(heard.copy(), trunk.copy(), means, clear, muted[place][:frames])
    return [made[place] for place in range(len(sounds))]


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
        text = clip.text if clip.text is not None else np.zeros((len(take), 19), np.float32)
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
