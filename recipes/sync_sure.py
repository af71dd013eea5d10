"""How sure a score is: fits the chance of ``infer/score_sure.py`` on validation clips and judges it on test ones.

    python recipes/sync_sure.py --data DIR [--plot docs/images/sync-reliability.png]

Windows of 1.2 s to 10 s with sound moved by up to 12 frames in the content itself, and as many with another clip's
sound, which count a quarter each: about one video in five shows somebody else than who is heard. Prints the weights
for ``WEIGHTS`` and what ``SURE`` means for both splits; the plot shows the test split.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kouxing.data.mouths import Mouths, load_mouths
from kouxing.face.offset import Calibration, Offset, find_offset, similarities
from kouxing.infer.discriminator import Discriminator
from kouxing.infer.score_sure import FEWEST, SURE, WEIGHTS, chance, features
from kouxing.types import Bool, Float

LENGTHS = (30, 50, 75, 125, 250)
"""Frames of a window."""
EACH = 3
"""Windows of each length and clip, true ones; as many with another's sound."""
FARTHEST = 12
SHORTEST = 26
FOREIGN_WEIGHT = 0.25
NEAR = 1.0
RIDGE = 1e-3
BINS = 8


@dataclass(frozen=True)
class Voice:
    """One clip's unit vectors ``[T, D]``, where it is not silent ``[T]``, and which kind of clip it is."""

    kind: str
    mouth: Float
    speech: Float
    spoken: Bool


@dataclass(frozen=True)
class Rows:
    """Windows: their features ``[N, 3]``, whether the offset was right, whether the sound was the clip's own, kind."""

    inputs: Float
    right: Bool
    own: Bool
    kind: np.ndarray


def voices(judge: Discriminator, clips: list[Mouths]) -> list[Voice]:
    """Embed all clips."""
    return [
        Voice(
            "grid" if clip.clip.part == "grid" else "words" if len(clip) < 2 * LENGTHS[0] else "wild",
            judge.embed_mouths(clip.pictures),
            judge.embed_speech(clip.mel),
            ~clip.silent,
        )
        for clip in clips
    ]


def window(
    voice: Voice, other: Voice, length: int, late: int, rng: np.random.Generator, judge: Discriminator
) -> tuple[Float, Offset] | None:
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
    return None if found.abstained or np.isfinite(sims).sum(0).min() < FEWEST else (sims, found)


def gather(judge: Discriminator, clips: list[Mouths], seed: int = 0) -> Rows:
    """Windows of all clips; of the many single words, every third."""
    rng = np.random.default_rng(seed)
    steepness = (judge.calibration or Calibration()).steepness
    all_of = voices(judge, clips)
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
                if made is not None:
                    inputs.append(features(*made, steepness))
                    right.append(true and abs(made[1].frames - at - late) <= NEAR)
                    own.append(true)
                    kind.append(voice.kind)
    return Rows(np.array(inputs, np.float32), np.array(right, bool), np.array(own, bool), np.array(kind))


def share_of(rows: Rows) -> Float:
    """``[N]``: how much each window counts."""
    return np.where(rows.own, 1.0, FOREIGN_WEIGHT).astype(np.float32)


def fit(rows: Rows) -> tuple[float, ...]:
    """Logistic regression by Newton's method."""
    inputs = np.column_stack([rows.inputs, np.ones(len(rows.inputs))]).astype(np.float64)
    share = share_of(rows).astype(np.float64)
    weights = np.zeros(inputs.shape[1])
    penalty = RIDGE * len(inputs) * np.eye(inputs.shape[1])
    for _ in range(60):
        told = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (share * (rows.right - told)) - penalty @ weights
        bend = (inputs * (share * told * (1 - told))[:, None]).T @ inputs + penalty
        weights += np.linalg.solve(bend, slope)
    return tuple(float(value) for value in weights)


def told_by(rows: Rows, weights: tuple[float, ...]) -> Float:
    """``[N]`` chances."""
    if weights == WEIGHTS:
        return np.array([chance(one) for one in rows.inputs], np.float32)
    return np.asarray(1 / (1 + np.exp(-(rows.inputs @ np.array(weights[:-1]) + weights[-1]))), np.float32)


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
    splits = {split: gather(judge, load_mouths(options.data, split)) for split in ("val", "test")}
    weights = fit(splits["val"])
    print(f"WEIGHTS = ({', '.join(f'{value:.2f}' for value in weights)})")
    for split, rows in splits.items():
        print(split, json.dumps({"fitted": summary(rows, weights), "in use": summary(rows, WEIGHTS)}))
    plot({"test speakers": splits["test"]}, WEIGHTS, options.plot)


if __name__ == "__main__":
    main()
