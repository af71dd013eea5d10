"""The rival that most tools use: phones -> one of nine mouth shapes -> switching between poses, as Rhubarb does.

Rules after Rhubarb Lip Sync (copyright Daniel S. Wolf, MIT licence), written anew for our mouth classes. Time
runs in hundredths of a second: mel frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import COEFFICIENTS
from kouxing.errors import DataError
from kouxing.text.phones import MOUTHS
from kouxing.text.visemes import Cue as Cue
from kouxing.text.visemes import averaged, pose
from kouxing.types import Float
from kouxing.units import MEL_HZ, MELS_PER_FRAME

Shapes = NDArray[np.int8]
"""``[M]`` places in ``SHAPES``, one for each mel frame."""

SHAPES = "ABCDEFGHX"
"""A lips closed, B teeth clenched, C open, D wide, E rounded, F puckered, G lower lip under the teeth, H tongue up
(long l), X at rest."""
ANY = SHAPES
EFFORT = {
    "A": "AXGBCHEDF", "B": "BGAXCHEDF", "C": "CHBGDAXEF", "D": "DCHBGAXEF", "E": "ECHBGAXDF",
    "F": "FBGAXCHED", "G": "GABCHXEDF", "H": "HCBGDAXEF", "X": "XAGBCHEDF",
}  # fmt: skip
"""Shapes by the effort of moving to them."""
RELAXED = dict(zip(SHAPES, "ABBCCBXBX", strict=True))
BASIC = dict(zip(SHAPES, "ABCDEFACA", strict=True))
TWEENS = {
    "DA": ("C", "early"), "DB": ("C", "centred"), "DG": ("C", "early"), "DX": ("C", "late"), "CF": ("E", "centred"),
    "FC": ("E", "centred"), "DF": ("E", "centred"), "HF": ("E", "late"), "FH": ("E", "early"),
}  # fmt: skip
"""Between these two another shape is shown for a moment: mouths pop open, but close slowly."""

LONG, SCHWA = 20, 7
"""Open vowels that last so long are wide; mid vowels shorter than the second are schwas."""
ANTICIPATION = 20
"""How early a vowel's shape may begin, in its consonants."""
LEAST_SHAPE, LEAST_SEGMENT, MOST_EXTENSION = 7, 8, 6
HOLD, RELAX = 12, 35
"""Pauses shorter than the first keep the shape, up to the second they relax it."""
TWEEN = (4, 8)
BLEND = 8
"""Poses are cross-faded over so long: a rig does not jump. Switching at once is a little worse on ``val``."""

CLASS_SHAPES = {
    "rest": "X", "bilabial": "A", "labiodental": "G", "rounded-close": "F", "rounded-mid": "E", "open": "C",
    "mid": "C", "spread": "B", "sibilant": "BF", "postalveolar": "BF", "dental": "BF", "alveolar": "BCFH",
    "lateral": "BEFH", "rhotic": "BEF", "velar": "BCEFH", "glottal": ANY,
}  # fmt: skip
"""Shapes in which each of ``text.phones.MOUTHS`` can be said."""
VOWELS = {"rounded-close", "rounded-mid", "open", "mid", "spread"}

POSES: dict[str, dict[str, float]] = {
    "A": {"mouthPressLeft": 0.3, "mouthPressRight": 0.3, "mouthRollLower": 0.1},
    "B": {"jawOpen": 0.09, "mouthStretchLeft": 0.2, "mouthStretchRight": 0.2, "mouthLowerDownLeft": 0.1,
          "mouthLowerDownRight": 0.1},
    "C": {"jawOpen": 0.115, "mouthLowerDownLeft": 0.1, "mouthLowerDownRight": 0.1},
    "D": {"jawOpen": 0.16, "mouthLowerDownLeft": 0.1, "mouthLowerDownRight": 0.1},
    "E": {"jawOpen": 0.1, "mouthFunnel": 0.3},
    "F": {"jawOpen": 0.11, "mouthPucker": 0.6, "mouthFunnel": 0.2},
    "G": {"jawOpen": 0.1, "mouthRollLower": 0.3, "mouthUpperUpLeft": 0.1, "mouthUpperUpRight": 0.1},
    "H": {"jawOpen": 0.13},
    "X": {},
}  # fmt: skip
"""Each shape's ARKit coefficients. How far the lips are apart follows the mean of tracked faces of ``train`` while our
phones gave the shape (``bench_animate.py --poses``), but for A, which closes them, and the rare D, which is wide: on
``val`` r is 0.74 with these in the studio, 0.68 with the wider poses that animators draw."""

SMOOTH = 1
"""Mel frames on either side over which the chances of phones are averaged; chosen on ``val``."""


@dataclass(frozen=True)
class _Rule:
    """One sound: mel frames ``first`` to ``last``, and the shapes in which it can be said."""

    first: int
    last: int
    shapes: str
    vowel: bool


def shapes_of(classes: Sequence[int] | NDArray[np.integer]) -> Shapes:
    """Mouth shapes of speech by Rhubarb's rules.

    Args:
        classes: ``[M]`` place in ``MOUTHS`` of each mel frame.

    Returns:
        ``[M]``.
    """
    shapes = _rough(_rules(np.asarray(classes)), len(classes))
    return _tweened(_retimed(_pauses(shapes)))


def shapes_of_cues(cues: Sequence[Cue], count: int) -> Shapes:
    """``count`` mel frames of cues in order, as a program like Rhubarb writes them; rest before the first.

    Raises:
        DataError: a shape is none of A to H and X.
    """
    shapes = np.full(count, SHAPES.index("X"), np.int8)
    for cue in cues:
        if len(cue.shape) != 1 or cue.shape not in SHAPES:
            raise DataError(f"mouth shape {cue.shape!r}: none of {', '.join(SHAPES)}")
        shapes[max(0, round(cue.start_s * MEL_HZ)) :] = SHAPES.index(cue.shape)
    return shapes


def rows_of(shapes: Shapes) -> Float:
    """Coefficients at video frames, poses cross-faded: ``[ceil(M / 4), 52] float32``."""
    if not len(shapes):
        return np.zeros((0, len(COEFFICIENTS)), np.float32)
    poses = np.stack([pose(POSES[shape]) for shape in SHAPES])
    # Picture i is taken at i / 25 s, the edge between mel frames 4i - 1 and 4i.
    edges = np.arange(len(shapes), dtype=np.float64)
    return averaged(edges, poses[shapes], edges[::MELS_PER_FRAME], BLEND)


def look_ahead_ms(classes_ms: float) -> float:
    """Sound that a row waits for where the mouth classes themselves wait for ``classes_ms``.

    A vowel's shape comes up to ``ANTICIPATION`` early, and how long a sound lasts decides on its shape.
    """
    return classes_ms + 1000 / MEL_HZ * (SMOOTH + max(ANTICIPATION, LONG, RELAX) + BLEND / 2)


def smoothed(logits: Float, reach: int = SMOOTH) -> NDArray[np.int64]:
    """The likeliest class of each mel frame, its chances averaged over ``2 * reach + 1`` frames.

    Args:
        logits: ``[M, len(MOUTHS)]``.
        reach: mel frames on either side.

    Returns:
        ``[M]``.
    """
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    padded = np.pad(chances, ((reach + 1, reach), (0, 0)), mode="edge")
    sums = np.cumsum(padded, 0)
    return np.asarray((sums[2 * reach + 1 :] - sums[: -2 * reach - 1]).argmax(1), np.int64)


def mean_opening(shapes: Sequence[Shapes], distances: Sequence[Float], found: Sequence[NDArray[np.bool_]]) -> Float:
    """Mean tracked lip distance of the video frames in which each shape is shown: ``[len(SHAPES)]``."""
    sums, counts = np.zeros(len(SHAPES)), np.zeros(len(SHAPES))
    for shown, distance, seen in zip(shapes, distances, found, strict=True):
        own = shown[::MELS_PER_FRAME]
        frames = min(len(own), len(distance))
        kept = seen[:frames]
        sums += np.bincount(own[:frames][kept], distance[:frames][kept], len(SHAPES))
        counts += np.bincount(own[:frames][kept], minlength=len(SHAPES))
    return np.asarray(sums / np.maximum(counts, 1), np.float32)


def _rules(classes: NDArray[np.integer]) -> list[_Rule]:
    rules = []
    for first, last in _runs(classes):
        name, length = MOUTHS[int(classes[first])].name, last - first
        shapes = CLASS_SHAPES[name]
        if name == "open" and length >= LONG:
            shapes = "D"
        elif name == "mid" and length < SCHWA:
            shapes = "BC"
        elif name == "lateral" and length >= LONG:
            shapes = "H"
        rules.append(_Rule(first, last, shapes, name in VOWELS))
    return rules


def _rough(rules: Sequence[_Rule], count: int) -> Shapes:
    """Consonants take the shape nearest to the one before; vowels spread to their left."""
    made, reference, spread_to = ["X"] * len(rules), "X", -1
    for place, rule in enumerate(rules):
        made[place] = _nearest(reference, rule.shapes)
        reference = RELAXED[made[place]]
        if not (rule.vowel and len(rule.shapes) == 1):
            continue
        reference = made[place]
        for before in range(place - 1, -1, -1):
            first = rules[before].first
            if first == spread_to or rule.first - first > ANTICIPATION:
                break
            made[before] = _nearest(reference, rules[before].shapes)
            if BASIC[made[before]] != BASIC[made[place]]:
                break
            reference = made[before]
        spread_to, reference = rule.first, made[place]
    shapes = np.full(count, SHAPES.index("X"), np.int8)
    for rule, shape in zip(rules, made, strict=True):
        shapes[rule.first : rule.last] = SHAPES.index(shape)
    return shapes


def _nearest(reference: str, shapes: str) -> str:
    return next(shape for shape in EFFORT[reference] if shape in shapes)


def _pauses(shapes: Shapes) -> Shapes:
    """Short pauses between sounds keep or relax the shape before them."""
    made, runs = shapes.copy(), _runs(shapes)
    for (first, last), following in zip(runs[1:-1], runs[2:], strict=True):
        if SHAPES[shapes[first]] != "X" or last - first > RELAX:
            continue
        held, later = SHAPES[shapes[first - 1]], SHAPES[shapes[following[0]]]
        if last - first >= HOLD:
            held = RELAXED[held]
            while held == later and RELAXED[held] != held:
                held = RELAXED[held]
            held = "X" if held == later else held
        made[first:last] = SHAPES.index(held)
    return made


def _retimed(shapes: Shapes) -> Shapes:
    """Closed and open stretches last long enough to be seen, shapes inside them too; from the end to the beginning."""
    kinds = np.select([shapes == SHAPES.index("X"), shapes == SHAPES.index("A")], [0, 1], 2)
    made, runs = np.full(len(shapes), SHAPES.index("X"), np.int8), _runs(kinds)
    written = len(shapes)
    for place in range(len(runs) - 1, -1, -1):
        first, last = runs[place]
        if kinds[first] == 0:
            continue
        end, begin = min(last, written), first
        if end - begin < LEAST_SEGMENT and place:
            room = runs[place - 1][1] - runs[place - 1][0] - 1
            begin -= max(0, min(LEAST_SEGMENT - (end - begin), room, MOST_EXTENSION))
        if begin >= end:
            continue
        made[begin:end] = _fewer(shapes[first:last], end - begin)
        written = begin
    return made


def _fewer(shapes: Shapes, wanted: int) -> Shapes:
    """A stretch without shapes too short to be seen, ``wanted`` mel frames long: what lasts longest stands for all."""
    made, runs, write = np.empty(len(shapes), np.int8), _runs(shapes), len(shapes)
    while write > 0:
        length = LEAST_SHAPE if write <= LEAST_SHAPE or write >= 2 * LEAST_SHAPE else write // 2
        begin = max(0, write - length)
        whole = next(first for first, last in runs if first <= begin < last)
        least, extended = _longest(shapes[begin:write]), _longest(shapes[whole:write])
        following = _longest(shapes[max(0, begin - LEAST_SHAPE) : begin]) if begin else least
        if extended in (least,) or extended != following:
            least, begin = extended, whole
        made[begin:write] = least
        write = begin
    # A stretch that was extended shows its first shape earlier; a shortened one loses its end.
    return np.concatenate([np.full(max(0, wanted - len(made)), made[0], np.int8), made[:wanted]])


def _longest(shapes: Shapes) -> int:
    counts = np.bincount(shapes, minlength=len(SHAPES))
    best = int(counts.argmax())
    return SHAPES.index("D") if SHAPES[best] == "C" and counts[SHAPES.index("D")] else best


def _tweened(shapes: Shapes) -> Shapes:
    made = shapes.copy()
    runs = _runs(shapes)
    for (first, last), (begin, end) in zip(runs[:-1], runs[1:], strict=True):
        shape, when = TWEENS.get(SHAPES[shapes[first]] + SHAPES[shapes[begin]], ("", ""))
        before, after = last - first, end - begin
        length = {"early": before // 3, "late": after // 3, "centred": min(before, after) // 4, "": 0}[when]
        length = min(length, TWEEN[1])
        if length >= TWEEN[0]:
            start = {"early": last - length, "late": begin, "centred": last - length // 2}[when]
            made[start : start + length] = SHAPES.index(shape)
    return made


def _runs(steps: NDArray[np.integer]) -> list[tuple[int, int]]:
    """(first, behind the last) of each stretch of equal values."""
    if not len(steps):
        return []
    edges = [0, *(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(steps)]
    return list(zip(edges[:-1], edges[1:], strict=True))
