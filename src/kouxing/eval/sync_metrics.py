"""Measures of a sync discriminator, from its vectors alone: pairs told apart, planted offsets found again.

The vectors of a window depend on its own frames only, so planting an offset in the content (pictures and sound of
another moment) and pairing the vectors of other moments are the same thing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from kouxing.face.offset import REACH, Calibration, Offset, alike, find_offset, similarities, votes
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ

APART = 3
"""Frames from which on a 5-frame window shares no more than half of its frames with another."""
WITHIN = 1.0
"""Frames by which a found offset may differ from the planted one."""


def auc(true: Float, false: Float) -> float:
    """Chance that a true pair is more similar than a false one (Mann-Whitney); NaN where there are none."""
    if not len(true) or not len(false):
        return float("nan")
    ranks = rankdata(np.concatenate([true, false]))
    return float((ranks[: len(true)].sum() - len(true) * (len(true) + 1) / 2) / (len(true) * len(false)))


def pair_figures(sims: Float, apart: int = APART) -> tuple[Float, Float]:
    """Similarities of the true pairs of a clip, and of its false ones ``apart`` frames or more.

    Args:
        sims: ``[T, 2 * reach + 1]`` (``face.offset.similarities``).
        apart: frames.
    """
    reach = sims.shape[1] // 2
    far = np.abs(np.arange(-reach, reach + 1)) >= apart
    true, false = sims[:, reach], sims[:, far].ravel()
    return true[np.isfinite(true)], false[np.isfinite(false)]


def gap(true: Float, false: Float) -> tuple[float, float, float]:
    """AUC, mean of the true and mean of the false similarities."""
    return auc(true, false), float(true.mean()), float(false.mean())


def averaged(sims: Float, rows: int) -> Float:
    """Means over ``rows`` moments in a row, ``[T - rows + 1, lags]``: a longer window's similarity; NaN stays NaN."""
    if len(sims) < rows:
        return np.zeros((0, sims.shape[1]), np.float32)
    return np.lib.stride_tricks.sliding_window_view(sims, rows, axis=0).mean(-1)


def cosines(mouth: Float, speech: Float, rows: int) -> Float:
    """Mean cosine of windows of ``rows`` moments at each lag: ``[T - rows + 1, 2 * REACH + 1]``, NaN where one ends.

    Args:
        mouth, speech: ``[T, D]``.
        rows: moments of a window.
    """
    return averaged(similarities(mouth, speech), rows)


def moving(mouth: Float, speech: Float, rows: int) -> Float:
    """``face.offset.alike`` of windows at each lag, as ``cosines`` gives them."""
    count = max(len(mouth) - rows + 1, 0)
    told = np.full((count, 2 * REACH + 1), np.nan, np.float32)
    for column, lag in enumerate(range(-REACH, REACH + 1)):
        first, last = max(0, -lag), min(len(mouth), len(mouth) - lag)
        if last - first >= rows:
            worth = alike(mouth[first:last], speech[first + lag : last + lag], rows)
            told[first : first + len(worth), column] = worth
    return told


def voted(mouth: Float, speech: Float, rows: int, steepness: float) -> Float:
    """As ``cosines``, of what pairs weigh in an offset: their log-odds against the others within reach.

    Args:
        mouth, speech, rows: as for ``cosines``.
        steepness: of the discriminator's calibration.
    """
    sims = similarities(mouth, speech)
    return averaged(np.where(np.isfinite(sims), votes(sims, steepness), np.nan), rows)


def planted(mouth: Float, speech: Float, late: int) -> tuple[Float, Float]:
    """The clip with its sound made ``late`` frames later: what is left of both, ``[T - |late|, D]``."""
    frames = len(mouth)
    first, last = max(0, late), frames + min(0, late)
    return mouth[first:last], speech[first - late : last - late]


def whole_clip(
    mouth: Float, speech: Float, spoken: Bool, own: float, calibration: Calibration | None = None
) -> Iterator[tuple[int, Offset]]:
    """(planted, found) for every offset that stays within reach of the clip's ``own``."""
    for late in range(-REACH, REACH + 1):
        if abs(own + late) > REACH:
            continue
        pictures, sound = planted(mouth, speech, late)
        first = max(0, late)
        yield late, find_offset(similarities(pictures, sound), spoken[first - late :][: len(sound)], calibration)


def inner_windows(
    mouth: Float,
    speech: Float,
    spoken: Bool,
    own: float,
    rng: np.random.Generator,
    count: int,
    reach: int,
    calibration: Calibration | None = None,
    seconds: float = 1.0,
) -> Iterator[tuple[int, Offset]]:
    """(planted, found) for ``count`` random windows with real sound at every lag.

    Args:
        mouth, speech: ``[T, D]``, a clip's vectors.
        spoken: ``[T]``.
        own: the clip's offset.
        rng: source of chance.
        count: how many; none where the clip is too short, and none that are silent.
        reach: frames that a mouth window sees before and behind its middle one.
        calibration: of the discriminator.
        seconds: length in pictures; the vectors are fewer by ``2 * reach``.
    """
    frames, pictures = len(mouth), round(seconds * FRAME_HZ)
    rows = pictures - 2 * reach
    made = tries = 0
    while made < count and tries < 20 * count:
        tries += 1
        late = int(rng.integers(-REACH, REACH + 1))
        first = int(rng.integers(0, max(1, frames - pictures + 1))) + reach
        sound = slice(first - late - REACH, first - late + rows + REACH)
        if abs(own + late) > REACH or sound.start < 0 or sound.stop > frames or first + rows > frames:
            continue
        heard, seen = speech[sound], mouth[first : first + rows]
        if not np.isfinite(heard).all() or not np.isfinite(seen).all():
            continue
        talk = spoken[first - late : first - late + rows]
        sims = np.stack([(seen * heard[lag : lag + rows]).sum(1) for lag in range(2 * REACH + 1)], 1)
        found = find_offset(sims, talk, calibration)
        if found.abstained:
            continue
        made += 1
        yield late, found


def is_right(late: int, found: Offset, own: float) -> bool:
    """Whether what was planted was found again, within ``WITHIN`` frames."""
    return not found.abstained and abs(found.frames - own - late) <= WITHIN
