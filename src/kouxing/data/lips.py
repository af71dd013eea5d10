"""Samples for the generator: S masked frames in a row, R references of the same clip, features tracked or predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from kouxing.audio.features import SILENT_MEL
from kouxing.audio.phone_ear import SPOKEN
from kouxing.data import augment
from kouxing.data.footage import Footage
from kouxing.data.grid import Word, phones_of
from kouxing.data.references import APART, REFERENCES, choose
from kouxing.data.speech import shares
from kouxing.face import geometry
from kouxing.face.crop import apply
from kouxing.face.geometry import GEOMETRY, as_wide
from kouxing.face.mask import mask as paste_mask
from kouxing.face.mouth_picture import TOP_PX
from kouxing.face.nearness import touching
from kouxing.face.pressed import pressed
from kouxing.face.stance import stance
from kouxing.types import Bool, Bytes, Float
from kouxing.units import HALF_PX, MEL_BANDS, MELS_PER_FRAME

Batch = dict[str, Tensor]
PREDICTED_SHARE = 0.35
"""How often features are those that were heard instead of the tracked ones, where the pictures show what is said."""
ONE_PICTURE_SHARE = 0.15
"""How often a single picture stands in for all references, as with a photo."""
MARGIN_PX = 10
"""The mask may start that much above the crop's middle in training, drawn anew for every sample."""
AROUND = 3
"""Frames before and behind a run whose sound comes along: discriminators hear more than they see."""
REGION_SCALE = 4
UNMOVED = np.eye(2, 3, dtype=np.float32)
"""The transform of points that lie in the crop already."""
EMPHASIS, OWN_EMPHASIS = 3.0, 1.0
"""How much more than skin the mouth counts, for everybody and for one person alone, whose skin is to be learnt too."""
OUTLINE = (*range(2, 7), *range(14, 19))
"""Places in ``JAW_POINTS`` at the sides of the jaw, which head turns move much and speech little."""
NUDGED_SHARE = 0.5
"""How often references are moved a little apart from the frame: more head poses than the footage has."""
GRID_SHARE, READ_GRID_SHARE = 0.2, 0.5
"""How often a clip is one of the studio's; the second where words are wanted, which are known of them alone."""
WORD_SHARE = 0.8
"""How often a run is laid around a word, where words are known."""
REST_SHARE = 0.15
"""How often a run is one of closed lips, and its features are those of silence: what is asked for at rest means a
closed mouth of this person, whatever smallest gap features are counted from."""
PARTED_SHARE, PARTED_PX = 0.5, 3.0
"""How often such a run has references with parted lips only, as people have who are filmed with a smile."""
FEATURES = GEOMETRY + SPOKEN
"""D of the painters' audio features (``audio.painter_ear``)."""
UNSAID_SHARE = 0.15
"""How often nobody knows which phones are said, as of live speech."""
STANCE_NOISE = 0.004
"""Spread of a tracker's noise in stances (half a crop pixel): they must not tell more than the head's turn."""


def select(features: Float, frame: int, window: int, spacing: int) -> Float:
    """Audio feature selector (methods.md section 4): ``window`` features around ``frame``, rest (0) beyond the ends.

    Args:
        features: ``[L, D]``.
        frame: which frame.
        window: F, odd.
        spacing: frames between two of them.

    Returns:
        ``[F, D] float32``.
    """
    places = frame + spacing * (np.arange(window) - window // 2)
    inside = (places >= 0) & (places < len(features))
    picked = np.zeros((window, features.shape[1]), np.float32)
    picked[inside] = features[places[inside]]
    return picked


def region(lips: Float, jaw: Float, emphasis: float = EMPHASIS) -> Float:
    """How much each place of the lower half counts: ``[32, 64]`` from 0.2 over 1 (pasted) to 1 + emphasis (mouth).

    What dubs paste counts as far as they paste it, with the edge between face and background, where errors show.

    Args:
        lips: ``[40, 2]`` crop pixels.
        jaw: ``[21, 2]`` crop pixels.
        emphasis: how much more the mouth counts.
    """
    pasted = paste_mask(UNMOVED, jaw, lips)[HALF_PX:]
    size = (2 * HALF_PX // REGION_SCALE, HALF_PX // REGION_SCALE)
    share = cv2.resize(pasted, size, interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[0 : size[1], 0 : size[0]] * REGION_SCALE + REGION_SCALE / 2
    low, high = lips.min(0), lips.max(0)
    middle, half = (low + high) / 2, (high - low) / 2
    mouth = ((x - middle[0]) / (half[0] * 1.3 + 4)) ** 2 + ((y + HALF_PX - middle[1]) / (half[1] * 1.4 + 10)) ** 2
    return np.asarray(0.2 + 0.8 * share + emphasis / (1 + np.exp(6 * (mouth - 1))), np.float32)


class LipsSamples:
    """Endless random batches; batch ``n`` depends only on (seed, n).

    Args:
        footage: prepared clips.
        predicted: per clip ``[T, D]`` features as heard (``audio.painter_ear``).
        clips: clips per batch.
        run: S, frames in a row.
        window: F.
        spacing: of the audio feature selector.
        seed: source of chance.
        words: clip id -> what is said, for the lip-reading loss.
        plain: one person's own footage is as it is: no change of light, no single picture as reference, features as
            heard, since they are what that person's dubs get.
        unpaired: how often the speech of a batch is other clips'; pictures then show another mouth than it asks for,
            and features are as dubs have them but for rest in silence: as heard, with near lips touching.
        resting: how often a run is one of closed lips in silence, where the clip has such frames.
        width: D, numbers a feature that the network takes.
    """

    def __init__(
        self,
        footage: list[Footage],
        predicted: list[Float],
        *,
        clips: int,
        run: int,
        window: int,
        spacing: int,
        seed: int,
        words: Mapping[str, Sequence[Word]] | None = None,
        plain: bool = False,
        unpaired: float = 0.0,
        resting: float = 0.0,
        width: int = FEATURES,
    ) -> None:
        self._footage, self._predicted = footage, [as_wide(heard, width) for heard in predicted]
        self._spoken = width == FEATURES
        self._clips, self._run, self._window, self._spacing, self._seed = clips, run, window, spacing, seed
        self._words, self._plain, self._unpaired, self._resting = words, plain, unpaired, resting
        self._emphasis = OWN_EMPHASIS if plain else EMPHASIS
        self._predicted_share = 1.0 if plain else PREDICTED_SHARE
        self._closed = [self._closed_starts(clip) for clip in footage]
        self._shares = shares(footage, grid=READ_GRID_SHARE if words else GRID_SHARE, words=0.2)

    def __call__(self, number: int) -> Batch:
        """Batch ``number``.

        Returns:
            With N = clips * S: frame ``[N, 3, 256, 256]`` (masked), real ``[N, 3, 128, 256]`` (its lower half),
            references ``[clips * R, 3, 256, 256]``, audio ``[N, F, D]``, own ``[clips, R, D]``,
            mel ``[clips, 4 * (S + 2 * AROUND), 80]``, above ``[N, 3, 8, 256]`` (the rows over the lower half that a
            mouth picture shows), stances ``[N, 1 + R, 14]``, region ``[N, 1, 32, 64]``, lips ``[N, 40, 2]`` (in halves
            of the crop), places ``[N, R, 50, 4]``: points of lips and jaw in the frame (x, y) and where they lie in
            each reference, in halves of the crop from its middle; with ``words`` also phones ``[clips, P]`` said in
            the run, and counts ``[clips]``; paired ``[1] bool``: the pictures belong to the speech.
        """
        rng = np.random.default_rng([self._seed, number])
        places = rng.choice(len(self._footage), self._clips, p=self._shares)
        apart = bool(self._unpaired) and rng.random() < self._unpaired
        speakers = rng.choice(len(self._footage), self._clips, p=self._shares) if apart else places
        rows = [self._sample(int(i), int(j) if apart else None, rng) for i, j in zip(places, speakers, strict=True)]
        batch = {name: torch.from_numpy(np.concatenate([row[name] for row in rows])) for name in rows[0]}
        return batch | {"paired": torch.tensor([not apart])}

    def _sample(self, place: int, speaker: int | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The run of one clip, saying what it says or what the clip ``speaker`` says."""
        clip = self._footage[place]
        resting = speaker is None and len(self._closed[place]) > 0 and rng.random() < self._resting
        first = int(rng.choice(self._closed[place])) if resting else self._first(clip, rng)
        frames = list(range(first, min(first + self._run, len(clip))))
        usable = clip.found & (_away(len(clip), first, len(frames)) >= min(APART, len(clip) // 4))
        if not usable.any():
            # A clip hardly longer than the run: what is farthest from its middle.
            usable = clip.found & (np.abs(np.arange(len(clip)) - first - len(frames) // 2) >= len(clip) // 4)
        parted = usable & (geometry.gap(clip.lips) > PARTED_PX)
        if resting and parted.any() and rng.random() < PARTED_SHARE:
            usable = parted
        chosen = choose(clip.aperture, clip.pose, clip.pose[first], usable, rng=rng, count=REFERENCES)
        if rng.random() < ONE_PICTURE_SHARE and not self._plain:
            chosen = [int(rng.choice(chosen))] * REFERENCES
        turn = augment.small_affine(rng)
        apart = rng.random() < NUDGED_SHARE
        turns = np.stack([turn] * len(frames) + [augment.nudged(turn, rng) if apart else turn for _ in chosen])
        images = [clip.crop(i) for i in frames + chosen]
        images = images if self._plain else augment.light(images, rng)
        images = [augment.moved(image, way) for image, way in zip(images, turns, strict=True)]
        targets, references = images[: len(frames)], images[len(frames) :]
        lips, jaws = apply(turn, clip.lips[frames]), apply(turn, clip.jaw[frames])
        outlines = _outlines(clip, frames + chosen, turns)
        points, theirs = outlines[: len(frames)], outlines[len(frames) :]
        shape = (len(frames), len(chosen), *points.shape[1:])
        stances = stance(apply(turns, clip.anchors[frames + chosen]))
        stances += rng.normal(0, STANCE_NOISE, stances.shape).astype(np.float32)
        others = np.broadcast_to(stances[len(frames) :], (len(frames), len(chosen), stances.shape[1]))
        said = place if speaker is None else speaker
        heard = self._footage[said]
        begin = first if speaker is None else self._first(heard, rng)
        features = self._features(said, speaker is not None, rng)
        moments = range(begin, begin + len(frames))
        if resting:
            features = self._silenced(features, moments, rng)
        audio = np.stack([select(features, i, self._window, self._spacing) for i in moments])
        return {
            "frame": planes(np.stack([mask(image, HALF_PX - int(rng.integers(0, MARGIN_PX))) for image in targets])),
            "real": planes(np.stack(targets)[:, HALF_PX:]),
            "above": planes(np.stack(targets)[:, TOP_PX:HALF_PX]),
            "mel": _sound(heard, begin - AROUND, begin + len(frames) + AROUND)[None],
            "references": planes(np.stack(references)),
            "audio": pressed(audio) if resting else audio,
            "own": as_wide(clip.geometry[chosen][None], audio.shape[-1]),
            "stances": np.concatenate([stances[: len(frames), None], others], 1),
            "places": np.concatenate([np.broadcast_to(points[:, None], shape), np.broadcast_to(theirs, shape)], -1),
            "region": np.stack([region(*one, self._emphasis) for one in zip(lips, jaws, strict=True)])[:, None],
            "lips": lips / HALF_PX,
            **self._said(clip.clip.id, heard.clip.id, begin),
        }

    def _features(self, place: int, dubbed: bool, rng: np.random.Generator) -> Float:
        """Of a whole clip, ``[T, D]``."""
        heard = self._predicted[place]
        if dubbed:
            features = touching(heard)
        else:
            features = heard.copy() if rng.random() < self._predicted_share else self._tracked(place, rng)
        unsaid = rng.random() < UNSAID_SHARE
        if self._spoken and unsaid:
            features[:, GEOMETRY:] = 0
        return features

    def _first(self, clip: Footage, rng: np.random.Generator) -> int:
        """Where a run begins; where words are known, mostly so that one of them lies inside."""
        starts = self._whole(clip.found)
        if not len(starts):
            # The face is lost every so often: as few of its frames as can be.
            starts = np.flatnonzero(clip.found[: max(1, len(clip) - self._run + 1)])
        whole = [word for word in (self._words or {}).get(clip.clip.id, ()) if self._fits(word, starts)]
        if whole and rng.random() < WORD_SHARE:
            word = whole[int(rng.integers(len(whole)))]
            assert word.first is not None and word.last is not None
            around = starts[(starts < word.first) & (starts + self._run > word.last)]
            return int(rng.choice(around))
        return int(rng.choice(starts))

    def _closed_starts(self, clip: Footage) -> np.ndarray:
        """Where a run may begin in which the lips are closed throughout."""
        return self._whole(clip.found & (geometry.gap(clip.lips) < geometry.CLOSED_GAP_PX))

    def _whole(self, good: Bool) -> np.ndarray:
        """Where a run may begin all of whose frames are good."""
        runs = [good[place : len(good) - self._run + 1 + place] for place in range(self._run)]
        return np.flatnonzero(np.all(runs, 0)) if len(good) >= self._run else np.zeros(0, int)

    def _silenced(self, features: Float, moments: range, rng: np.random.Generator) -> Float:
        """The features with silence at ``moments`` and as far around as chance has it."""
        before, after = rng.integers(0, self._spacing * (self._window // 2) + 2, 2)
        quiet = features.copy()
        quiet[max(0, moments.start - before) : moments.stop + after] = 0
        return quiet

    def _fits(self, word: Word, starts: np.ndarray) -> bool:
        if word.first is None or word.last is None:
            return False
        return bool(((starts < word.first) & (starts + self._run > word.last)).any())

    def _said(self, face: str, name: str, first: int) -> dict[str, np.ndarray]:
        """Phones of the words that lie inside the run that begins at ``first``, with a frame on either side.

        None for a ``face`` whose words are not known either: lip readers have not met it, and read strangers badly.
        """
        if self._words is None:
            return {}
        inside = tuple(
            word
            for word in (self._words.get(name, ()) if face in self._words else ())
            if word.first is not None and word.last is not None and first < word.first and word.last < first + self._run
        )
        said = phones_of(inside)[: self._run]
        phones = np.zeros((1, self._run), np.int64)
        phones[0, : len(said)] = said
        return {"phones": phones, "counts": np.array([len(said)])}

    def _tracked(self, place: int, rng: np.random.Generator) -> Float:
        """As ``_features``, of the lips that are seen."""
        clip = self._footage[place]
        # A little smooth noise: the generator must not trust the tracker's last digit.
        noise = cv2.GaussianBlur(rng.normal(0, 0.15, clip.geometry.shape), (1, 5), 1.0)
        seen = clip.geometry + noise.reshape(clip.geometry.shape)
        return np.concatenate([seen, self._predicted[place][:, GEOMETRY:]], 1).astype(np.float32)


def _away(count: int, first: int, run: int) -> np.ndarray:
    """Frames from each of ``count`` to the nearest one of a run."""
    at = np.arange(count)
    return np.maximum(np.maximum(first - at, at - (first + run - 1)), 0)


def _sound(clip: Footage, first: int, last: int) -> Float:
    """Log-mel ``[4 * (last - first), 80]`` of frames ``first..last - 1``; all is quiet beyond the clip's ends."""
    low, high = max(first, 0), min(last, len(clip))
    rows = np.full(((last - first) * MELS_PER_FRAME, MEL_BANDS), SILENT_MEL, np.float32)
    rows[(low - first) * MELS_PER_FRAME : (high - first) * MELS_PER_FRAME] = clip.mel[
        low * MELS_PER_FRAME : high * MELS_PER_FRAME
    ]
    return rows


def _outlines(clip: Footage, frames: list[int], turns: Float) -> Float:
    """Points of lips and sides of the jaw, ``[N, 50, 2]`` in halves of the crop from its middle."""
    return apply(turns, np.concatenate([clip.lips[frames], clip.jaw[frames][:, OUTLINE]], 1)) / HALF_PX - 1


def mask(image: Bytes, row: int) -> Bytes:
    """Set everything from ``row`` down to zero."""
    masked = image.copy()
    masked[row:] = 0
    return masked


def planes(images: Bytes) -> Float:
    """``[N, H, W, 3] uint8`` -> ``[N, 3, H, W] float32``, 0..1."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / 255.0
