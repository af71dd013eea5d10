"""How sure a score is: fits ``infer/score_opinion.py`` and ``score_sure.py`` on validation clips, judges on test ones.

    python recipes/sync_sure.py --data DIR [--plot docs/images/sync-reliability.png]

Windows of 1.2 s to 10 s with sound moved by up to 12 frames in the content itself, and as many with another clip's
sound, which count a quarter each: about one video in five shows somebody else than who is heard. Prints the weights
of the second opinion, of the chances without it and with it (``WEIGHTS``, ``SECONDED``), and what ``SURE`` means for
both splits; the plot shows the test split. Lips are known at every second picture, as the scorer tracks them.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kouxing.audio.encoder import SpeechEncoder
from kouxing.data.mouths import Mouths, load_mouths
from kouxing.eval.sync_second import PAIR, fives, hear, outlined
from kouxing.face.offset import APART, REACH, Calibration, Offset, find_offset, similarities
from kouxing.infer.discriminator import Discriminator
from kouxing.infer.score_opinion import Shapes, opinion, signals
from kouxing.infer.score_sure import FEWEST, SECONDED, SURE, WEIGHTS, chance, features
from kouxing.types import Bool, Float

LENGTHS = (30, 50, 75, 125, 250)
"""Frames of a window."""
EACH = 9
"""Windows of each length and clip, true ones; as many with another's sound."""
FARTHEST = 12
SHORTEST = 26
FOREIGN_WEIGHT = 0.25
NEAR = 1.0
RIDGE = 1e-3
BINS = 8
FALSES = 8
"""False pairs of a clip for each true one."""
SHARE = 0.5
"""Of the weight that single pairs give to the second opinion: over seconds it repeats itself more than the first."""


@dataclass(frozen=True)
class Voice:
    """One clip's unit vectors ``[T, D]``, where it is not silent ``[T]``, which kind of clip it is, and its mouth as it
    is seen and heard."""

    kind: str
    mouth: Float
    speech: Float
    spoken: Bool
    shapes: Shapes


@dataclass(frozen=True)
class Rows:
    """Windows: their features ``[N, 4]``, whether the offset was right, whether the sound was the clip's own, kind."""

    inputs: Float
    right: Bool
    own: Bool
    kind: np.ndarray


def voices(judge: Discriminator, clips: list[Mouths]) -> list[Voice]:
    """Embed all clips."""
    ear = SpeechEncoder(threads=1)
    return [
        Voice(
            "grid" if clip.clip.part == "grid" else "words" if len(clip) < 2 * LENGTHS[0] else "wild",
            judge.embed_mouths(clip.pictures),
            judge.embed_speech(clip.mel),
            ~clip.silent,
            Shapes(outlined(clip.geometry, clip.found), hear(ear, clip.mel)),
        )
        for clip in clips
    ]


def window(
    voice: Voice, other: Voice, length: int, late: int, rng: np.random.Generator, judge: Discriminator
) -> tuple[Float, Offset, Float | None] | None:
    """A window of ``voice`` with the sound of ``other``, ``late`` frames late; None where there is no room."""
    low, high = max(0, late), min(len(voice.mouth), len(other.speech) + late)
    length = min(length, high - low)
    if length < SHORTEST:
        return None
    first = int(rng.integers(low, high - length + 1))
    mouth = voice.mouth[first : first + length].copy()
    speech = other.speech[first - late : first - late + length].copy()
    # Real clips end somewhere: their outermost windows see nothing.
    for rows, reach in ((mouth, judge.mouth_reach), (speech, judge.speech_reach)):
        rows[:reach] = rows[len(rows) - reach :] = np.nan
    sims = similarities(mouth, speech)
    found = find_offset(sims, other.spoken[first - late : first - late + length], judge.calibration)
    if found.abstained or np.isfinite(sims).sum(0).min() < FEWEST:
        return None
    seen, heard = voice.shapes.seen[first : first + length], other.shapes.heard[first - late : first - late + length]
    return sims, found, opinion(Shapes(seen, heard))


def gather(judge: Discriminator, all_of: list[Voice], seed: int = 0) -> Rows:
    """Windows of all clips; of the many single words, every third."""
    rng = np.random.default_rng(seed)
    steepness = (judge.calibration or Calibration()).steepness
    inputs, right, own, kind = [], [], [], []
    for place, voice in enumerate(all_of):
        at = find_offset(similarities(voice.mouth, voice.speech), voice.spoken, judge.calibration).frames
        others = [one for one in all_of if one is not voice and one.kind == voice.kind]
        if not np.isfinite(at) or not others or (voice.kind == "words" and place % 3):
            continue
        for length in LENGTHS:
            if length > len(voice.mouth) + 10:
                continue
            for number in range(2 * EACH):
                true = number < EACH
                late = int(rng.integers(-FARTHEST, FARTHEST + 1)) if true else 0
                other = voice if true else others[int(rng.integers(len(others)))]
                made = window(voice, other, length, late, rng, judge)
                if made is not None and made[2] is not None:
                    sims, found, second = made
                    inputs.append(features(sims, found, steepness, second))
                    right.append(true and abs(found.frames - at - late) <= NEAR)
                    own.append(true)
                    kind.append(voice.kind)
    return Rows(np.array(inputs, np.float32), np.array(right, bool), np.array(own, bool), np.array(kind))


def second_weights(all_of: list[Voice], judge: Discriminator) -> Float:
    """``[4, 3]`` of ``score_opinion.WEIGHTS``, by pairs of five frames of a clip, in units of the cosine's weight."""
    rng = np.random.default_rng(0)
    tables, right, share = [], [], []
    for kind in sorted({voice.kind for voice in all_of}):
        same = [terms(voice, judge) for voice in all_of if voice.kind == kind]
        count = sum(len(true) for true, _ in same)
        for true, false in same:
            false = false[rng.permutation(len(false))[: FALSES * len(true)]]
            tables += [true, false]
            right += [np.ones(len(true)), np.zeros(len(false))]
            share += [np.full(len(one), len(true) / max(len(one), 1) / count) for one in (true, false)]
    table = np.concatenate(tables)
    spread = table.std(0)
    weights = np.array(newton((table - table.mean(0)) / spread, np.concatenate(right), np.concatenate(share))[:-1])
    weights /= spread
    return np.asarray(SHARE * weights[1:].reshape(-1, 3) / weights[0])


def terms(voice: Voice, judge: Discriminator) -> tuple[Float, Float]:
    """A clip's true and false pairs ``[N, 13]``: the cosine, and each signal's product and negative squares."""
    seen, heard = fives(signals(voice.shapes.seen)), fives(signals(voice.shapes.heard))
    told = [similarities(voice.mouth, voice.speech)]
    for one in range(seen.shape[1] // PAIR):
        g, h = seen[:, one :: seen.shape[1] // PAIR], heard[:, one :: seen.shape[1] // PAIR]
        known = np.ones_like(g)
        told += [similarities(a, b) / PAIR for a, b in ((g, h), (-known, h * h), (-g * g, known))]
    pairs = np.stack(told, -1)
    good = np.isfinite(pairs).all(-1)
    at = find_offset(told[0], voice.spoken, judge.calibration).frames if voice.kind == "wild" else 0.0
    true = REACH + (round(at) if np.isfinite(at) else 0)
    far = np.abs(np.arange(2 * REACH + 1) - true) >= APART
    return pairs[:, true][good[:, true]], pairs[:, far][good[:, far]]


def share_of(rows: Rows) -> Float:
    """``[N]``: how much each window counts."""
    return np.where(rows.own, 1.0, FOREIGN_WEIGHT).astype(np.float32)


def fit(rows: Rows, count: int) -> tuple[float, ...]:
    """Chance of the first ``count`` features."""
    share = share_of(rows).astype(np.float64)
    return newton(rows.inputs[:, :count], rows.right.astype(np.float64), share / len(share))


def newton(inputs: Float, right: Float, share: Float) -> tuple[float, ...]:
    """Logistic regression by Newton's method; the constant comes last."""
    inputs = np.column_stack([inputs, np.ones(len(inputs))]).astype(np.float64)
    weights = np.zeros(inputs.shape[1])
    penalty = RIDGE * np.eye(inputs.shape[1])
    for _ in range(60):
        told = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (share * (right - told)) - penalty @ weights
        bend = (inputs * (share * told * (1 - told))[:, None]).T @ inputs + penalty
        weights += np.linalg.solve(bend, slope)
    return tuple(float(value) for value in weights)


def told_by(rows: Rows, weights: tuple[float, ...]) -> Float:
    """``[N]`` chances."""
    inputs = rows.inputs[:, : len(weights) - 1]
    if weights in (WEIGHTS, SECONDED):
        return np.array([chance(one) for one in inputs], np.float32)
    return np.asarray(1 / (1 + np.exp(-(inputs @ np.array(weights[:-1]) + weights[-1]))), np.float32)


def summary(rows: Rows, weights: tuple[float, ...]) -> dict[str, float]:
    """Windows that get an answer, answers that are wrong, and windows with another's sound that get one."""
    told, share = told_by(rows, weights), share_of(rows)
    sure = told >= SURE
    found = {
        "answered": float(sure[rows.own].mean()),
        "wrong": float(share[sure & ~rows.right].sum() / max(share[sure].sum(), 1e-9)),
        "foreign_answered": float(sure[~rows.own].mean()),
        "calibration_error": sum(b["weight"] * abs(b["told"] - b["right"]) for b in bins(rows, weights)),
    }
    for kind in sorted(set(rows.kind)):
        own = rows.kind == kind
        found[f"answered_{kind}"] = float(sure[own & rows.own].mean())
        found[f"foreign_answered_{kind}"] = float(sure[own & ~rows.own].mean())
    return {name: round(value, 3) for name, value in found.items()}


def bins(rows: Rows, weights: tuple[float, ...]) -> list[dict[str, float]]:
    """Told chance and share that was right, by told chance."""
    told, share = told_by(rows, weights), share_of(rows)
    place = np.minimum((told * BINS).astype(int), BINS - 1)
    return [
        {
            "told": float(np.average(told[place == one], weights=share[place == one])),
            "right": float(np.average(rows.right[place == one], weights=share[place == one])),
            "weight": float(share[place == one].sum() / share.sum()),
        }
        for one in range(BINS)
        if (place == one).any()
    ]


def plot(splits: dict[str, Rows], weights: tuple[float, ...], path: Path) -> None:
    """Told chance against the share that was right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5.5, 4.5))
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axis.axvline(SURE, color="0.7", linewidth=1, linestyle=":")
    for name, rows in splits.items():
        told = bins(rows, weights)
        axis.plot(
            [b["told"] for b in told], [b["right"] for b in told], linewidth=1.2, label=f"{name}, {len(rows.own)}"
        )
        axis.scatter([b["told"] for b in told], [b["right"] for b in told], s=[10 + 300 * b["weight"] for b in told])
    axis.set(xlabel="told chance", ylabel="share within one frame", xlim=(0, 1), ylim=(0, 1.02))
    axis.set_title("kouxing score: windows of 1.2 to 10 s, a fifth with another's sound", fontsize=9)
    axis.legend(fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.stem + ".part.png")
    figure.savefig(part, dpi=110)
    pyplot.close(figure)
    part.replace(path)


def main() -> None:
    """Fit, judge, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plot", type=Path, default=Path("docs/images/sync-reliability.png"))
    options = parser.parse_args()
    judge = Discriminator()
    heard = {split: voices(judge, load_mouths(options.data, split)) for split in ("val", "test")}
    print("score_opinion.WEIGHTS =", second_weights(heard["val"], judge).round(3).tolist())
    splits = {split: gather(judge, all_of) for split, all_of in heard.items()}
    for name, used in (("WEIGHTS", WEIGHTS), ("SECONDED", SECONDED)):
        weights = fit(splits["val"], len(used) - 1)
        print(f"{name} = ({', '.join(f'{value:.2f}' for value in weights)})")
        for split, rows in splits.items():
            print(split, json.dumps({"fitted": summary(rows, weights), "in use": summary(rows, used)}))
    plot({"test speakers": splits["test"]}, SECONDED, options.plot)


if __name__ == "__main__":
    main()
