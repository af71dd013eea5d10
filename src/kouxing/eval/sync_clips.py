"""The clips of an evaluation as a discriminator hears and sees them, clean or corrupted, and their pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kouxing.audio.encoder import SpeechEncoder
from kouxing.audio.features import frame_mels, log_mel
from kouxing.data.footage import Footage
from kouxing.eval import sync_corrupt
from kouxing.eval.sync_calibration import Embedded
from kouxing.eval.sync_metrics import auc, moving, planted
from kouxing.face import geometry
from kouxing.face.mouth_picture import mouth_pictures
from kouxing.face.offset import REACH
from kouxing.infer.discriminator import Discriminator
from kouxing.media.reader import load_sound
from kouxing.types import Bytes, Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ

CLEAN = "clean"
WAYS = (CLEAN, *sync_corrupt.SOUND, *sync_corrupt.PICTURE)
NEAREST = {5: 3, 25: 13}
"""Window in frames -> lag from which on no more than half of it is shared."""
FALSES = 8
"""False pairs per true one."""
Pairs = Callable[[Float, Float, int], Float]
"""Mouths and speech ``[T, D]`` and moments of a window -> what windows and lags are worth (``sync_metrics.moving``)."""


@dataclass(frozen=True)
class Source:
    """One clip before any discriminator sees it.

    Attributes:
        footage: its prepared crops and tracks.
        samples: its sound at ``SAMPLE_HZ``.
    """

    footage: Footage
    samples: Float

    @property
    def group(self) -> str:
        return self.footage.clip.part

    def pictures(self, way: str) -> Bytes:
        """Mouth pictures, ``[T, 48, 64]``, spoiled where ``way`` spoils pictures."""
        change = sync_corrupt.PICTURE.get(way, lambda crop: crop)
        return mouth_pictures(change(self.footage.crop(frame)) for frame in range(len(self.footage)))

    def mel(self, way: str) -> Float:
        """Log-mel ``[4T, 80]``, spoiled where ``way`` spoils sound."""
        change = sync_corrupt.SOUND.get(way)
        samples = self.samples if change is None else change(self.samples, np.random.default_rng(7))
        return frame_mels(log_mel(samples), len(self.footage))


def source(data: Path, footage: Footage) -> Source:
    """Read a clip's sound."""
    return Source(footage, load_sound(data / "clips" / f"{footage.clip.id}.mp4", SAMPLE_HZ).samples)


def embed(judge: Discriminator, clip: Source, pictures: Bytes, mel: Float) -> Embedded:
    """Vectors of a clip; rows of mouths that were not found are NaN."""
    mouth = judge.embed_mouths(pictures)
    mouth[~clip.footage.found] = np.nan
    return Embedded(
        clip.footage.clip.id, clip.group, mouth, judge.embed_speech(mel), ~clip.footage.silent, judge.mouth_reach
    )


def aucs(
    clips: Sequence[Embedded], speakers: Mapping[str, str], own: Mapping[str, int], pairs: Pairs = moving
) -> dict[str, float]:
    """AUC of 5- and 25-frame pairs by part: ``{"auc5_grid": ...}``.

    Of the false pairs half are of the same clip (no more
    than half of a window shared), a quarter of another clip of the speaker (of another speaker where there is none) and
    a quarter of other speakers.

    Args:
        clips: vectors of all clips.
        speakers: who is seen, by id.
        own: each clip's own offset in whole frames, by id: what is true.
        pairs: what pairs are told apart by.
    """
    rng = np.random.default_rng(0)
    in_step = {clip.id: planted(clip.mouth, clip.speech, -own.get(clip.id, 0)) for clip in clips}
    found: dict[str, float] = {}
    for part in sorted({clip.part for clip in clips}):
        chosen = [clip for clip in clips if clip.part == part]
        for frames, nearest in NEAREST.items():
            true, false = [], []
            for clip in chosen:
                mouth, speech = in_step[clip.id]
                rows = frames - 2 * clip.reach
                sims = pairs(mouth, speech, rows)
                good = sims[:, REACH][np.isfinite(sims[:, REACH])]
                far = np.abs(np.arange(-REACH, REACH + 1)) >= nearest
                near = sims[:, far][np.isfinite(sims[:, far])]
                wanted = FALSES * len(good)
                true.append(good)
                false.append(_drawn(near, wanted // 2, rng))
                for same in (True, False):
                    others = [o for o in chosen if o.id != clip.id and (speakers[o.id] == speakers[clip.id]) == same]
                    others = others or [o for o in chosen if speakers[o.id] != speakers[clip.id]]
                    crossed = [_crossed(mouth, in_step[o.id][1], rows, pairs) for o in _few(others, 3, rng)]
                    if crossed:
                        false.append(_drawn(np.concatenate(crossed), wanted // 4, rng))
            found[f"auc{frames}_{part}"] = auc(np.concatenate(true), np.concatenate(false))
    return found


def _few(others: Sequence[Embedded], count: int, rng: np.random.Generator) -> list[Embedded]:
    return [others[int(place)] for place in rng.permutation(len(others))[:count]]


def _drawn(values: Float, count: int, rng: np.random.Generator) -> Float:
    return values if len(values) <= count else rng.choice(values, count, replace=False)


def _crossed(mouth: Float, speech: Float, rows: int, pairs: Pairs) -> Float:
    """Similarities of a clip's mouths with another's speech at several lags."""
    frames = min(len(mouth), len(speech))
    sims = pairs(mouth[:frames], speech[:frames], rows)[:, ::5]
    return sims[np.isfinite(sims)]


def opening_similarities(clip: Source, encoder: SpeechEncoder) -> tuple[Float, Float]:
    """Baseline: the tracked opening and the one that the speech encoder hears, ``[T]`` each."""
    stream = encoder.stream()
    features = np.concatenate([stream.push(clip.samples), stream.finish()])[: len(clip.footage)]
    heard = geometry.opening(features)
    heard = np.pad(heard, (0, len(clip.footage) - len(heard)), mode="edge")
    return np.where(clip.footage.found, clip.footage.aperture, np.nan), heard


def correlation_lag(seen: Float, heard: Float, reach: int = REACH) -> int:
    """Lag of ``heard`` behind ``seen`` (both ``[T]``) with the highest correlation; at least a second is compared."""
    frames, best, at = len(seen), -2.0, 0
    for lag in range(-reach, reach + 1):
        first, last = max(0, -lag), min(frames, len(heard) - lag)
        a, b = seen[first:last], heard[first + lag : last + lag]
        good = np.isfinite(a)
        if good.sum() < min(FRAME_HZ, frames // 2) or a[good].std() < 1e-9 or b[good].std() < 1e-9:
            continue
        r = float(np.corrcoef(a[good], b[good])[0, 1])
        if r > best:
            best, at = r, lag
    return at
