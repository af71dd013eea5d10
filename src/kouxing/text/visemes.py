"""Mouth shapes that others name (Azure, Polly, Oculus, Rhubarb, VRM) -> ARKit's coefficients, cross-faded.

Every alphabet is told in the fifteen shapes of Oculus, or a sequence of them for a diphthong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.errors import DataError
from kouxing.text.phones import MOUTHS, Phone, classes
from kouxing.types import Float
from kouxing.units import COEFFICIENT_HZ


@dataclass(frozen=True)
class Cue:
    """From ``start_s`` on the mouth has this shape, a name of the alphabet that is in use."""

    start_s: float
    shape: str


WIDE = 0.27
"""jawOpen of the widest shape: lips of tracked speakers stay under this distance 95 % of the time
(``face.closure.TYPICAL_DISTANCE``). Tables that animators draw open twice as wide."""


def _both(**stems: float) -> dict[str, float]:
    """``press=0.3`` -> mouthPressLeft and mouthPressRight."""
    return {
        f"mouth{stem[0].upper()}{stem[1:]}{side}": value for stem, value in stems.items() for side in ("Left", "Right")
    }


OCULUS: dict[str, dict[str, float]] = {
    "sil": {},
    "PP": {"jawOpen": 0.05, "mouthClose": 0.05, "mouthRollLower": 0.3, "mouthRollUpper": 0.3, **_both(press=0.2)},
    "FF": {"jawOpen": 0.17 * WIDE, "mouthRollLower": 0.5, **_both(upperUp=0.2)},
    "TH": {"jawOpen": 0.33 * WIDE, "tongueOut": 0.4},
    "DD": {"jawOpen": 0.33 * WIDE, "mouthFunnel": 0.2},
    "kk": {"jawOpen": 0.25 * WIDE, **_both(lowerDown=0.15)},
    "CH": {"jawOpen": 0.33 * WIDE, "mouthFunnel": 0.5},
    "SS": {"jawOpen": 0.17 * WIDE, **_both(lowerDown=0.15, stretch=0.2)},
    "nn": {"jawOpen": 0.33 * WIDE, "mouthFunnel": 0.1, **_both(lowerDown=0.1)},
    "RR": {"jawOpen": 0.33 * WIDE, "mouthFunnel": 0.3, "mouthPucker": 0.3},
    "aa": {"jawOpen": WIDE},
    "E": {"jawOpen": 0.5 * WIDE, **_both(dimple=0.4, lowerDown=0.1)},
    "ih": {"jawOpen": 0.33 * WIDE, **_both(stretch=0.4, dimple=0.3)},
    "oh": {"jawOpen": 0.5 * WIDE, "mouthPucker": 0.6, "mouthFunnel": 0.2},
    "ou": {"jawOpen": 0.25 * WIDE, "mouthFunnel": 0.4, "mouthPucker": 0.8},
}
"""Shape -> coefficients."""
TIGHT = ("PP", "FF")
"""Shapes that neighbours must not wash out: lips touch each other, or the teeth, for the cue's whole time."""

_SAME = {name: (name,) for name in OCULUS}
_AZURE = (
    "sil", "aa", "aa", "oh", "E", "RR", "ih", "ou", "oh", "aa ou", "oh ih", "aa ih", "E", "RR", "nn", "SS", "CH",
    "TH", "FF", "DD", "kk", "PP",
)  # fmt: skip
AZURE: dict[str, tuple[str, ...]] = {str(number): tuple(shapes.split()) for number, shapes in enumerate(_AZURE)}
"""Azure's viseme ids 0 to 21."""
POLLY: dict[str, tuple[str, ...]] = {
    "sil": ("sil",), "p": ("PP",), "t": ("DD",), "S": ("CH",), "T": ("TH",), "f": ("FF",), "k": ("kk",), "r": ("RR",),
    "s": ("SS",), "i": ("ih",), "u": ("ou",), "@": ("E",), "a": ("aa",), "e": ("E",), "E": ("E",), "o": ("oh",),
    "O": ("oh",), "B": ("PP",), "J": ("nn",), "x": ("kk",),
}  # fmt: skip
"""Amazon Polly's viseme names; others are read as X-SAMPA phones, which they are."""
RHUBARB: dict[str, tuple[str, ...]] = {
    "A": ("PP",), "B": ("SS",), "C": ("E",), "D": ("aa",), "E": ("oh",), "F": ("ou",), "G": ("FF",), "H": ("nn",),
    "X": ("sil",),
}  # fmt: skip
VRM: dict[str, tuple[str, ...]] = {
    "A": ("aa",), "I": ("ih",), "U": ("ou",), "E": ("E",), "O": ("oh",),
    "aa": ("aa",), "ih": ("ih",), "ou": ("ou",), "ee": ("E",), "oh": ("oh",),
}  # fmt: skip
"""The mouths of VRM 0 (capitals) and VRM 1."""
MOUTH_SHAPES = dict(
    zip(
        (mouth.name for mouth in MOUTHS),
        ("sil", "PP", "FF", "ou", "oh", "aa", "E", "ih", "SS", "CH", "TH", "DD", "nn", "RR", "kk", "E"),
        strict=True,
    )
)
"""Our own mouth classes (``text.phones``) in shapes."""
ALPHABETS: dict[str, Mapping[str, tuple[str, ...]]] = {
    "oculus": _SAME, "azure": AZURE, "polly": POLLY, "rhubarb": RHUBARB, "vrm": VRM,
}  # fmt: skip

BLEND_S = 0.08
"""Shapes are cross-faded over so long."""


def pose(shape: Mapping[str, float]) -> Float:
    """``[52] float32`` of coefficients by name; what is missing is 0."""
    row = np.zeros(len(COEFFICIENTS), np.float32)
    for name, value in shape.items():
        row[PLACE[name]] = value
    return row


def shapes_of(name: str, alphabet: str) -> tuple[str, ...]:
    """The shapes of ``OCULUS`` that a name of an alphabet stands for, in order.

    Args:
        name: e.g. ``21`` of ``azure`` or ``p`` of ``polly``.
        alphabet: one of ``ALPHABETS``, or ``ipa``.

    Raises:
        DataError: the alphabet has no such name.
    """
    if alphabet == "ipa":
        return tuple(MOUTH_SHAPES[MOUTHS[place].name] for place in classes(name))
    names = ALPHABETS[alphabet]
    if name in names:
        return names[name]
    if alphabet == "polly":
        return tuple(MOUTH_SHAPES[MOUTHS[place].name] for place in classes(name, "sampa"))
    raise DataError(f"{alphabet} has no viseme {name!r}; it has {', '.join(names)}")


def rows_of_cues(
    cues: Sequence[Cue], length_s: float, alphabet: str = "oculus", rate_hz: int = COEFFICIENT_HZ
) -> Float:
    """Coefficients of shapes over time.

    Args:
        cues: in order; before the first one, and behind ``length_s``, the mouth rests.
        length_s: where the last cue ends; rows are made up to there.
        alphabet: see ``shapes_of``.
        rate_hz: rows per second; row i stands at i / ``rate_hz``.

    Returns:
        ``[ceil(length_s * rate_hz), 52] float32``, 0..1.

    Raises:
        DataError: an unknown name, or cues that are not in order.
    """
    edges, names = [0.0], ["sil"]
    for number, cue in enumerate(cues):
        end = cues[number + 1].start_s if number + 1 < len(cues) else length_s
        if not edges[-1] <= cue.start_s or not np.isfinite(cue.start_s):
            raise DataError(f"viseme {cue.shape!r} at {cue.start_s:g} s does not come after the one before")
        shapes = shapes_of(cue.shape, alphabet) or (names[-1],)
        step = max(end - cue.start_s, 0.0) / len(shapes)
        for part, shape in enumerate(shapes):
            edges.append(cue.start_s + part * step)
            names.append(shape)
    count = int(np.ceil(length_s * rate_hz - 1e-9))
    at = np.arange(max(count, 0)) / rate_hz
    order = list(OCULUS)
    shown = np.array([order.index(name) for name in names], np.int64)
    starts, ends_ = np.array(edges), np.array([*edges[1:], max(length_s, edges[-1])])
    table = np.stack([pose(OCULUS[name]) for name in order])
    rows = averaged(starts, table[shown], at, BLEND_S, ends_[-1])
    for name in TIGHT:
        rows = _kept(rows, table[order.index(name)], shown == order.index(name), starts, ends_, at)
    return rows


def rows_of_phones(phones: Sequence[Phone], length_s: float, rate_hz: int = COEFFICIENT_HZ) -> Float:
    """Coefficients of IPA phones with times: ``[ceil(length_s * rate_hz), 52]``.

    Raises:
        DataError: a phone of which no letter is known, or phones that are not in order.
    """
    return rows_of_cues([Cue(phone.start_s, phone.symbol) for phone in phones], length_s, "ipa", rate_hz)


def contact_of_phones(phones: Sequence[Phone], length_s: float, rate_hz: int = COEFFICIENT_HZ) -> Float:
    """How surely the lips touch each other, for faces that follow the sound: p, b, m and their like ask for it.

    Args:
        phones: IPA with times, in order; unknown ones ask for nothing. length_s, rate_hz: as for rows.

    Returns:
        ``[ceil(length_s * rate_hz)] float32``: 1 for the whole of such a phone, falling to 0 within half a cross-fade.
    """
    at = np.arange(int(np.ceil(length_s * rate_hz - 1e-9))) / rate_hz
    share = np.zeros(len(at), np.float32)
    for phone in phones:
        if _bilabial(phone.symbol):
            away = np.maximum(np.maximum(phone.start_s - at, at - phone.end_s), 0)
            share = np.maximum(share, np.clip(1 - away / (BLEND_S / 2), 0, 1).astype(np.float32))
    return share


def _bilabial(symbol: str) -> bool:
    try:
        return any(MOUTHS[place].closed for place in classes(symbol))
    except DataError:
        return False


def averaged(
    starts: NDArray[np.float64], values: Float, at: NDArray[np.float64], width: float, end: float | None = None
) -> Float:
    """Means of a stepped curve over windows: what cross-fades poses without a jump.

    Args:
        starts: ``[K]`` where each step begins, in order; the first holds before it too.
        values: ``[K, D]`` of the steps.
        at: ``[T]`` middles of the windows. width: their length, over 0.
        end: where the curve drops to 0; by default its last step goes on for ever.

    Returns:
        ``[T, D] float32``.
    """
    if end is not None:
        starts, values = np.append(starts, end), np.concatenate([values, np.zeros_like(values[:1])])
    low, high = np.minimum(starts[0], at.min(initial=0) - width), np.maximum(starts[-1], at.max(initial=0) + width)
    edges = np.concatenate([[low], starts[1:], [high + width]])
    area = np.concatenate([np.zeros_like(values[:1], np.float64), np.cumsum(values * np.diff(edges)[:, None], 0)])

    def up_to(times: NDArray[np.float64]) -> NDArray[np.float64]:
        step = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, len(values) - 1)
        return np.asarray(area[step] + values[step] * (times - edges[step])[:, None])

    return np.asarray((up_to(at + width / 2) - up_to(at - width / 2)) / width, np.float32)


def _kept(
    rows: Float,
    shape: Float,
    which: NDArray[np.bool_],
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    at: NDArray[np.float64],
) -> Float:
    """Rows with the cues ``which`` shown in full for their whole time, faded in and out around it."""
    if not which.any() or not len(at):
        return rows
    first, last = starts[which], ends[which]
    # Distance of each row from the nearest such cue.
    near = np.searchsorted(first, at, side="right") - 1
    behind = np.where(near >= 0, at - last[np.maximum(near, 0)], np.inf)
    ahead = np.where(near + 1 < len(first), first[np.minimum(near + 1, len(first) - 1)] - at, np.inf)
    away = np.maximum(np.minimum(behind, ahead), 0)
    share = np.clip(1 - away / (BLEND_S / 2), 0, 1).astype(np.float32)[:, None]
    return np.asarray(rows * (1 - share) + shape * share, np.float32)
