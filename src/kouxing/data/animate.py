"""Speech with coefficients to learn from: tracked footage, calibrated so that touching lips say so, and motion capture.

Coefficients and tracked gap come from two trackers; they are brought to one time by the gap that both see. Then jawOpen
and mouthClose are corrected until their lip distance (``face.closure``) is the measured gap.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kouxing.arkit import COEFFICIENTS, FROM_MEDIAPIPE, MEDIAPIPE, MOUTH, PLACE
from kouxing.audio.features import SILENT_MEL, frame_mels, log_mel
from kouxing.audio.silence import silent_frames
from kouxing.data import augment
from kouxing.data.footage import Footage, load_footage
from kouxing.data.manifest import Clip
from kouxing.data.sync import Step, places
from kouxing.data.tracks import track_path
from kouxing.errors import NO_ARRAYS, DataError
from kouxing.face.closure import CLOSED_SHARE, PER_FACE_WIDTH, TYPICAL_DISTANCE, TYPICAL_GAP, lip_distance
from kouxing.face.landmarks import EDGE_LEFT, EDGE_RIGHT, GAP_LOWER, GAP_UPPER
from kouxing.media.reader import load_sound
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ, MEL_BANDS, MELS_PER_FRAME, SAMPLE_HZ

Batch = dict[str, Tensor]
Progress = Callable[[int, int], None]

SHARES = {"grid": 0.25, "words": 0.2, "wild": 0.35, "mocap": 0.1, "taught": 0.2}
"""How often each group is drawn; a group that is not there leaves its share to the others."""
USUAL_LATE = 0.35
"""Frames that stored tracks run behind ours (median), for clips whose gap does not tell."""
LATEST = 1.5
MOCAP_LATE = {"facegood": 1.75}
"""Frames that motion capture runs behind its sound, by how takes are named; measured on the five ``train`` takes, which
agree, with a speech encoder that learned from footage only."""
QUIETEST_S = 0.4
"""Shortest silence that augmentation puts in."""
MOUTH_COLUMNS = tuple(PLACE[name] for name in MOUTH)


@dataclass(frozen=True)
class Take:
    """One recording, T frames at ``FRAME_HZ``.

    Attributes:
        name: clip id or file name.
        group: ``grid``, ``words`` (wild clips under 2 s), ``wild`` or ``mocap``.
        speaker: who speaks.
        mel: ``[T * MELS_PER_FRAME, 80] float32``.
        values: ``[T, 52] float32`` calibrated coefficients.
        channels: ``[52] bool``: which of them the source knows.
        gap: ``[T] float32``: measured inner-lip gap as a share of the take's 95th percentile.
        silent: ``[T] bool``.
        found: ``[T] bool``: rows to learn from.
    """

    name: str
    group: str
    speaker: str
    mel: Float
    values: Float
    channels: Bool
    gap: Float
    silent: Bool
    found: Bool

    def __len__(self) -> int:
        return len(self.found)

    @property
    def closed(self) -> Bool:
        """``[T]``: the lips touch."""
        return np.asarray(self.gap < CLOSED_SHARE, bool)


def load_takes(data: Path, split: str, progress: Progress | None = None) -> list[Take]:
    """Every usable take of a split, footage first, then motion capture where ``data`` has any.

    Raises:
        DataError: no usable clip, none whose track has coefficients, or a damaged file.
    """
    tracked = [footage_take(data, one) for one in load_footage(data, split, progress)]
    takes = [take for take in tracked if take is not None] + mocap_takes(data, split)
    if not takes:
        raise DataError(f"{data}: no clip of split {split!r} has coefficients (blendshapes in tracks/ID.npz)")
    return takes


def in_step(
    takes: list[Take], steps: Mapping[str, Step], report: Callable[[str], None] = lambda line: None
) -> list[Take]:
    """The takes with every mouth where its sound is; those that do not follow their sound are left out.

    Args:
        takes: as they were filmed.
        steps: timing by name (``data.sync``); takes that it does not name stay as they are.
        report: where a line goes that says how many it concerns.
    """
    kept = [take for take in takes if take.name not in steps or steps[take.name].kept]
    if steps:
        moved = sum(take.name in steps and steps[take.name].late != 0 for take in kept)
        report(f"{moved} takes moved in time, {len(takes) - len(kept)} left out")
    return [_moved(take, steps[take.name].late) if take.name in steps else take for take in kept]


def _moved(take: Take, late: int) -> Take:
    at, inside = places(len(take), late)
    return replace(take, values=take.values[at], gap=take.gap[at], found=take.found[at] & inside)


def footage_take(data: Path, footage: Footage) -> Take | None:
    """A prepared clip with the coefficients of its stored track, or None where there are none.

    Raises:
        DataError: the track cannot be read.
    """
    stored = _stored_coefficients(data, footage.clip)
    if stored is None:
        return None
    values, gap, seen = stored
    frames = min(len(footage), len(values))
    found = footage.found[:frames] & seen[:frames]
    if found.sum() < FRAME_HZ // 2:
        return None
    own = footage.aperture[:frames]
    late = lateness(gap[:frames], own, found)
    values = _shifted(np.nan_to_num(values[:frames]), late)
    channels = np.isin(COEFFICIENTS, MEDIAPIPE)
    return Take(
        name=footage.clip.id, group=footage.clip.group, speaker=footage.clip.speaker, channels=channels,
        mel=footage.mel[: frames * MELS_PER_FRAME], values=calibrated(values, own, found), gap=_share(own, found),
        silent=footage.silent[:frames], found=found,
    )  # fmt: skip


def mocap_takes(data: Path, split: str) -> list[Take]:
    """Motion capture with sound from ``mocap/manifest.csv``; none where the folder has no such file.

    Raises:
        DataError: a file that the manifest names is missing or damaged.
    """
    path = data / "mocap" / "manifest.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return [_mocap_take(data, row["id"]) for row in rows if (data / "mocap" / f"{row['id']}.npz").exists()]


def _mocap_take(data: Path, name: str) -> Take:
    path = data / "mocap" / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            rows, valid = file["coefficients"].astype(np.float32), file["valid"].astype(bool)
            rate, names = float(file["fps"]), [str(one) for one in file["names"]]
    except NO_ARRAYS as error:
        raise DataError(f"{path}: not readable motion capture ({error})") from error
    sound = load_sound(path.with_suffix(".flac"), SAMPLE_HZ)
    frames = min(int(len(rows) * FRAME_HZ / rate), len(sound.samples) * FRAME_HZ // SAMPLE_HZ)
    values, channels = np.zeros((frames, len(COEFFICIENTS)), np.float32), np.zeros(len(COEFFICIENTS), bool)
    late = next((late for session, late in MOCAP_LATE.items() if name.startswith(session)), 0.0)
    wanted = (np.arange(frames) + late) * rate / FRAME_HZ
    for column, one in enumerate(names):
        # A channel that never moves was not captured.
        if valid[column] and rows[:, column].max() > 0:
            values[:, PLACE[one]] = np.interp(wanted, np.arange(len(rows)), rows[:, column])
            channels[PLACE[one]] = True
    found = np.ones(frames, bool)
    distance = np.maximum(lip_distance(values), 0)
    values = np.clip(values * np.clip(TYPICAL_DISTANCE / np.percentile(distance, 95), 0.5, 2), 0, 1)
    silent = np.ones(frames, bool)
    heard = silent_frames(sound.samples, SAMPLE_HZ)[:frames]
    silent[: len(heard)] = heard
    mel = frame_mels(log_mel(sound.samples), frames)
    return Take(name, "mocap", name[:8], mel, values, channels, _share(distance, found), silent, found)


def _stored_coefficients(data: Path, clip: Clip) -> tuple[Float, Float, Bool] | None:
    """(values ``[T, 52]``, the same tracker's gap in face widths ``[T]``, seen ``[T]``)."""
    path = track_path(data, clip)
    try:
        with np.load(path, allow_pickle=False) as file:
            if "blendshapes" not in file:
                return None
            shapes, lips = file["blendshapes"].astype(np.float32), file["lips"].astype(np.float32)
            anchors, seen = file["anchors"].astype(np.float32), file["found"].astype(bool)
    except FileNotFoundError:
        return None
    except NO_ARRAYS as error:
        raise DataError(f"{path}: not a readable face track ({error})") from error
    values = np.zeros((len(shapes), len(COEFFICIENTS)), np.float32)
    values[:, FROM_MEDIAPIPE] = shapes
    width = np.linalg.norm(anchors[:, EDGE_RIGHT] - anchors[:, EDGE_LEFT], axis=-1)
    gap = np.linalg.norm(lips[:, GAP_LOWER] - lips[:, GAP_UPPER], axis=-1) / np.maximum(width, 1e-6)
    return values, np.nan_to_num(gap), seen & np.isfinite(shapes).all(1)


def lateness(other: Float, own: Float, found: Bool) -> float:
    """Frames by which curve ``other [T]`` runs behind ``own [T]``, to a tenth; ``USUAL_LATE`` where they do not fit."""
    places = np.arange(len(own))
    shifts = np.arange(0, LATEST + 0.01, 0.1)
    fits = [_fit(np.interp(places + shift, places, other)[found], own[found]) for shift in shifts]
    best = int(np.argmax(fits))
    return float(shifts[best]) if fits[best] > 0.8 else USUAL_LATE


def _fit(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    if one.std() < 1e-6 or other.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _shifted(rows: Float, late: float) -> Float:
    places = np.arange(len(rows))
    return np.stack([np.interp(places + late, places, column) for column in rows.T], 1).astype(np.float32)


def _share(gap: Float, found: Bool) -> Float:
    return np.asarray(gap / max(float(np.percentile(gap[found], 95)), 1e-3), np.float32)


def calibrated(values: Float, gap: Float, found: Bool) -> Float:
    """Coefficients whose lip distance is the measured gap, on one scale for all speakers.

    The take's own floor (lips that touch) becomes 0 and its 95th percentile the typical one, within limits: a short
    clip may not show a wide mouth. What mouthClose and jawOpen say too little or too much is corrected in them; the
    other channels lose what the face has at rest.

    Args:
        values: ``[T, 52]`` tracked.
        gap: ``[T]`` inner-lip gap in face widths.
        found: ``[T] bool``.

    Returns:
        ``[T, 52] float32``, 0..1.
    """
    floor = min(float(np.percentile(gap[found], 3)), 0.01)
    free = np.maximum(gap - floor, 0)
    widest = max(float(np.percentile(free[found], 95)), 1e-3)
    wanted = PER_FACE_WIDTH * free * float(np.clip(TYPICAL_GAP / widest, 0.65, 1.5))
    made = values.copy()
    rest = np.percentile(made[found], 10, axis=0)
    jaw, close = PLACE["jawOpen"], PLACE["mouthClose"]
    moving = np.setdiff1d(np.arange(made.shape[1]), (jaw, close))
    made[:, moving] = np.maximum(made[:, moving] - rest[moving], 0)
    made[:, close] = 0
    made[:, jaw] *= _jaw_gain(made, wanted, found)
    missing = wanted - lip_distance(made)
    made[:, jaw] += np.maximum(missing, 0)
    # Where the lips touch, pressing may bring d under 0: mouthClose never opens them.
    made[:, close] = np.maximum(-missing, 0)
    return np.clip(made, 0, 1)


def _jaw_gain(values: Float, wanted: Float, found: Bool) -> float:
    """Factor of jawOpen that fits the measured distance best, within limits."""
    jaw = values[found, PLACE["jawOpen"]].astype(np.float64)
    rest = (wanted - lip_distance(values))[found] + jaw
    return float(np.clip((jaw @ rest) / max(jaw @ jaw, 1e-9), 0.6, 1.8))


def drawn(takes: list[Take]) -> np.ndarray:
    """How often each take is drawn: groups by ``SHARES``, inside them by length and the root of a speaker's length."""
    seconds = np.array([len(take) for take in takes], float)
    totals: dict[str, float] = {}
    for take in takes:
        totals[take.speaker] = totals.get(take.speaker, 0.0) + len(take)
    weight = seconds / np.sqrt([totals[take.speaker] for take in takes])
    groups = np.array([take.group for take in takes])
    result = np.zeros(len(takes))
    for group, share in SHARES.items():
        chosen = groups == group
        if chosen.any():
            result[chosen] = share * weight[chosen] / weight[chosen].sum()
    return result / result.sum()


class TakeWindows:
    """Endless random batches; batch ``n`` depends only on (seed, n), so that training resumes exactly.

    Args:
        takes: what to draw from.
        frames: length of a sample in video frames.
        shortest: of the unmasked window.
        batch: samples per batch.
        before, after: mel frames of context around the sample.
        seed: source of chance.
        masking: random-length masking; without it every sample is heard whole (ablation).
    """

    def __init__(
        self, takes: list[Take], frames: int, shortest: int, batch: int, before: int, after: int, seed: int,
        masking: bool = True,
    ) -> None:  # fmt: skip
        self._takes, self._frames, self._shortest, self._batch = takes, frames, shortest, batch
        self._before, self._after, self._seed, self._masking = before, after, seed, masking
        self._drawn = drawn(takes)

    def __call__(self, number: int) -> Batch:
        """Batch ``number``: mel ``[B, before + 4T + after, 80]``, values ``[B, T, 52]``, channels ``[B, 52]``, gap,
        closed, silent, mask ``[B, T]``, take ``[B]``."""
        rng = np.random.default_rng([self._seed, number])
        # Samples of one batch are about equally long: a recurrent network pays for the longest.
        longest = int(rng.integers(self._shortest, self._frames + 1)) if self._masking else self._frames
        places = rng.choice(len(self._takes), self._batch, p=self._drawn)
        rows = [self._sample(self._takes[place], longest, rng) | {"take": np.array(place)} for place in places]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _sample(self, take: Take, longest: int, rng: augment.Rng) -> dict[str, np.ndarray]:
        # A little more than is needed: the tempo may shrink it, and long takes would cost time.
        spare = int(1.4 * longest)
        start = int(rng.integers(0, max(1, len(take) - spare // 2)))
        near = slice(start, start + spare)
        columns = (take.values, take.gap, take.closed, take.silent, take.found)
        rows = np.column_stack([column[near] for column in columns]).astype(np.float32)
        mel = take.mel[start * MELS_PER_FRAME : (start + len(rows)) * MELS_PER_FRAME]
        mel, rows = augment.tempo(mel, rows, rng)
        mel = augment.voice(mel, rng)
        if rng.random() < 0.15:
            mel, rows, _ = put_silence(mel, rows, rng)
        other = self._takes[rng.integers(len(self._takes))].mel
        noise = other if rng.random() < 0.4 else augment.hiss(len(mel), rng)
        mel = augment.recording(mel, np.resize(noise, mel.shape), rng)
        first = int(rng.integers(0, max(1, len(rows) - longest + 1)))
        last = min(len(rows), first + longest)
        part = np.zeros((longest, rows.shape[1]), np.float32)
        part[: last - first] = rows[first:last]
        mask = (part[:, -1] > 0.5).astype(np.float32)
        sound = np.full((self._before + longest * MELS_PER_FRAME + self._after, MEL_BANDS), SILENT_MEL, np.float32)
        heard = mel[first * MELS_PER_FRAME : last * MELS_PER_FRAME + max(0, self._after)]
        heard = heard[: len(sound) - self._before]
        sound[self._before : self._before + len(heard)] = heard
        if self._masking:
            mask *= self._mask(longest, rng, sound)
        width = len(COEFFICIENTS)
        return {
            "mel": sound, "values": part[:, :width], "channels": take.channels.astype(np.float32),
            "gap": part[:, width], "closed": (part[:, width + 1] > 0.5).astype(np.float32),
            "silent": (part[:, width + 2] > 0.5).astype(np.float32), "mask": mask,
        }  # fmt: skip

    def _mask(self, frames: int, rng: augment.Rng, sound: Float) -> Float:
        """Preprocessing of section 1: 1 inside a window of random length about the centre; outside it, silence."""
        length = int(rng.integers(max(self._shortest, int(0.6 * frames)), frames + 1))
        first = (frames - length) // 2
        mask = np.zeros(frames, np.float32)
        mask[first : first + length] = 1
        sound[: self._before + first * MELS_PER_FRAME] = SILENT_MEL
        sound[self._before + (first + length) * MELS_PER_FRAME + max(0, self._after) :] = SILENT_MEL
        return mask


def put_silence(mel: Float, rows: Float, rng: augment.Rng) -> tuple[Float, Float, Bool]:
    """Nobody speaks for a while: quiet sound, lips closed and at rest.

    Args:
        mel: ``[4T, 80]``.
        rows: ``[T, 52 + 4]``: coefficients, gap, closed, silent, found.
        rng: source of chance.

    Returns:
        Both changed, and ``[T] bool``: where. Two frames at each edge are not learned from: the way there is unknown.
    """
    frames = len(rows)
    least = min(frames, round(QUIETEST_S * FRAME_HZ))
    length = int(rng.integers(least, frames + 1))
    first = int(rng.integers(0, frames - length + 1))
    mel, rows, quiet = mel.copy(), rows.copy(), np.zeros(frames, bool)
    quiet[first : first + length] = True
    floor = np.percentile(mel, 2) if rng.random() < 0.5 else SILENT_MEL
    hiss = augment.hiss(length * MELS_PER_FRAME, rng) * 0.2
    mel[first * MELS_PER_FRAME : (first + length) * MELS_PER_FRAME] = np.maximum(floor + hiss, SILENT_MEL)
    width = len(COEFFICIENTS)
    rows[first : first + length, list(MOUTH_COLUMNS)] = 0
    rows[first : first + length, width : width + 4] = (0, 1, 1, 1)
    for edge in (first, first + length):
        if 0 < edge < frames:
            rows[max(0, edge - 2) : edge + 2, width + 3] = 0
    return mel, rows, quiet
