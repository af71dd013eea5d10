"""A clip's offset over time, out of its similarities: where it holds, where it jumps, whether it drifts, who speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kouxing.face.offset import Offset
from kouxing.infer.score_opinion import Shapes
from kouxing.infer.score_sure import Ruler, is_sure
from kouxing.types import Bool, Float
from kouxing.units import FRAME_HZ

WINDOW_S = 4
STEP_S = 1
"""A moment's offset is that of so many seconds around it, told anew every so many."""

BLOCK_S = 1
"""Step of the search for jumps."""

SWITCH = 3.0
"""A jump must gain as much as so many seconds of clear speech."""

JUMP = 2.0
"""Frames by which neighbouring stretches differ, at the least, to be called a jump."""

SHORTEST_S = 4
SURE_OF_STRETCH = 0.9
"""Shorter stretches, and less sure ones, are not believed: among many some look right by chance."""

NEAR_CUT_S = 1.5
"""A jump happens at the cut within so many seconds, if there is one."""

FEWEST_MOMENTS = 8
"""Sure moments that a drift needs."""

DRIFT = 1.5
"""Frames from one end of the clip to the other that are called drift."""

SPEAKS_S = 1.0
SPEAKS = 0.4
"""Somebody speaks where the lips match for a second, by this share of how well they match on the whole."""


_Part = tuple[int, int, Offset]
"""First row, the one after the last, and their offset."""


@dataclass(frozen=True)
class Moment:
    """The offset around one time.

    Attributes:
        seconds: middle of the window.
        offset_frames: None where nothing can be said.
        probability: that it is within one frame.
    """

    seconds: float
    offset_frames: float | None
    probability: float


@dataclass(frozen=True)
class Stretch:
    """A part of the video with one offset.

    Attributes:
        start_s, end_s: from, to.
        offset_frames: as in ``Moment``. offset_ms: the same. probability: that it is within one frame.
    """

    start_s: float
    end_s: float
    offset_frames: float
    offset_ms: float
    probability: float


def moments(sim: Float, spoken: Bool, late: float, ruler: Ruler, shapes: Shapes | None = None) -> tuple[Moment, ...]:
    """The offset in windows over the whole clip.

    Args:
        sim: ``[T, 31]``.
        spoken: ``[T]``, frames that are not silent.
        late: frames to take off what is measured (``score_watch.watch``).
        ruler: finds offsets.
        shapes: the mouth, for a second opinion.
    """
    length, step = WINDOW_S * FRAME_HZ, STEP_S * FRAME_HZ
    result = []
    for first in range(0, max(len(sim) - length, 0) + 1, step):
        part = slice(first, first + length)
        told = ruler.measure(sim[part], spoken[part], _shapes_of(shapes, first, first + length))
        middle = (first + min(length, len(sim) - first) / 2) / FRAME_HZ
        result.append(Moment(middle, told.frames - late if is_sure(told) else None, _known(told.probability)))
    return tuple(result)


def stretches(
    sim: Float, spoken: Bool, cuts: Sequence[int], late: float, ruler: Ruler, shapes: Shapes | None = None
) -> tuple[Stretch, ...]:
    """Parts of the clip with an offset of their own, in which it is sure; one where it never changes.

    Other arguments as for ``moments``.

    Args:
        cuts: pictures that begin a new shot.
    """
    parts: list[_Part] = []
    for first, last in _bounds(_path(sim, spoken), len(sim)):
        told = ruler.measure(sim[first:last], spoken[first:last], _shapes_of(shapes, first, last))
        long = last - first >= SHORTEST_S * FRAME_HZ
        if long and not told.abstained and told.probability >= SURE_OF_STRETCH:
            parts.append((first, last, told))
    parts = _merged(parts, sim, spoken, ruler, shapes)
    marks = [_at_cut(a[1], b[0], cuts) for a, b in zip(parts[:-1], parts[1:], strict=True)]
    starts = [0, *marks] if parts else []
    ends = [*marks, len(sim)] if parts else []
    result = []
    for first, last, (_, _, told) in zip(starts, ends, parts, strict=True):
        frames = told.frames - late
        result.append(
            Stretch(first / FRAME_HZ, last / FRAME_HZ, frames, 1000 * frames / FRAME_HZ, _known(told.probability))
        )
    return tuple(result)


def drift(found: Sequence[Moment], seconds: float) -> float | None:
    """Frames that the offset moves by from the clip's start to its end; None where too little is sure.

    The median of the slopes between all pairs of moments that do not overlap (Theil and Sen).
    """
    sure = [moment for moment in found if moment.offset_frames is not None]
    if len(sure) < FEWEST_MOMENTS:
        return None
    thin = sure[:: -(-len(sure) // 400)]
    times = np.array([moment.seconds for moment in thin])
    offsets = np.array([moment.offset_frames for moment in thin], np.float64)
    apart = times[None] - times[:, None]
    far = apart >= max(WINDOW_S, 0.25 * (times[-1] - times[0]))
    if not far.any():
        return None
    slopes = (offsets[None] - offsets[:, None])[far] / apart[far]
    return float(np.median(slopes)) * seconds


def speaking(sims: Sequence[Float], spoken: Bool, offset_frames: float) -> list[list[tuple[float, float]]]:
    """Who speaks when: for each face its parts in seconds.

    Args:
        sims: for each face ``[T, 31]``.
        spoken: ``[T]``, where there is speech at all.
        offset_frames: of the video's sound.
    """
    frames = len(spoken)
    scores = np.stack([_match(sim, offset_frames) for sim in sims]) if sims else np.zeros((0, frames))
    known = np.isfinite(scores).any(0) & spoken
    result: list[list[tuple[float, float]]] = [[] for _ in sims]
    if not known.any():
        return result
    best = np.where(np.isfinite(scores), scores, -np.inf).argmax(0)
    top = np.take_along_axis(scores, best[None], 0)[0]
    limit = SPEAKS * float(np.nanmean(top[known]))
    for face, parts in enumerate(result):
        own = known & (best == face) & (np.nan_to_num(top, nan=-1.0) > max(limit, 0.0))
        edges = np.flatnonzero(np.diff(np.concatenate([[0], own.astype(np.int8), [0]])))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if parts and first / FRAME_HZ - parts[-1][1] < SPEAKS_S:
                parts[-1] = (parts[-1][0], last / FRAME_HZ)
            elif last - first >= SPEAKS_S * FRAME_HZ / 2:
                parts.append((first / FRAME_HZ, last / FRAME_HZ))
    return result


def _match(sim: Float, offset_frames: float) -> Float:
    """``[T]``: by how much a second's lips match at this offset better than at others; NaN without them."""
    lags = sim.shape[1]
    column = min(max(round(offset_frames) + lags // 2, 0), lags - 1)
    missing = ~np.isfinite(sim[:, column])
    with np.errstate(invalid="ignore"):
        above = np.where(missing, 0.0, sim[:, column] - _row_medians(sim))
    window = np.ones(round(SPEAKS_S * FRAME_HZ))
    total = np.convolve(np.nan_to_num(above), window, "same")
    count = np.convolve((~missing).astype(np.float64), window, "same")
    return np.asarray(np.where(missing, np.nan, total / np.maximum(count, 1)), np.float32)


def _row_medians(sim: Float) -> Float:
    some = np.isfinite(sim).any(1)
    result = np.full(len(sim), np.nan, np.float32)
    result[some] = np.nanmedian(sim[some], axis=1)
    return result


def _path(sim: Float, spoken: Bool) -> NDArray[np.int64]:
    """The lag of every block of ``BLOCK_S``: as similar as can be, with as few changes (Viterbi)."""
    size = BLOCK_S * FRAME_HZ
    blocks = -(-len(sim) // size)
    gains = np.zeros((blocks, sim.shape[1]))
    for block in range(blocks):
        rows = slice(block * size, (block + 1) * size)
        part = sim[rows][spoken[rows]]
        gains[block] = np.nansum(part - np.nan_to_num(_row_medians(part))[:, None], 0)
    peaks = gains.max(1)
    clear = float(np.percentile(peaks[peaks > 0], 75)) if (peaks > 0).any() else 1.0
    lags = np.arange(sim.shape[1])
    # A step of one frame is half as dear as any jump: a drift goes by such steps.
    price = SWITCH * clear * np.minimum(np.abs(lags[:, None] - lags[None]), 2) / 2
    total, back = gains[0] if blocks else np.zeros(sim.shape[1]), []
    for gain in gains[1:]:
        ways = total[None] - price
        came = ways.argmax(1)
        back.append(came)
        total = ways[lags, came] + gain
    path = [int(total.argmax())] if blocks else []
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    return np.array(path[::-1], np.int64)


def _bounds(path: NDArray[np.int64], frames: int) -> list[tuple[int, int]]:
    """Rows ``(first, last)`` of the path's constant parts."""
    size = BLOCK_S * FRAME_HZ
    changes = (np.flatnonzero(np.diff(path)) + 1) * size
    edges = [0, *changes.tolist(), frames] if frames else []
    return list(zip(edges[:-1], edges[1:], strict=True))


def _merged(parts: list[_Part], sim: Float, spoken: Bool, ruler: Ruler, shapes: Shapes | None) -> list[_Part]:
    """Neighbours whose offsets are no jump apart become one."""
    result: list[_Part] = []
    for first, last, told in parts:
        if result and abs(result[-1][2].frames - told.frames) < JUMP:
            begin = result[-1][0]
            told = ruler.measure(sim[begin:last], spoken[begin:last], _shapes_of(shapes, begin, last))
            result[-1] = (begin, last, told)
        else:
            result.append((first, last, told))
    return result


def _at_cut(before: int, after: int, cuts: Sequence[int]) -> int:
    """Where one stretch ends and the next begins."""
    middle = (before + after) // 2
    near = [cut for cut in cuts if before - NEAR_CUT_S * FRAME_HZ <= cut <= after + NEAR_CUT_S * FRAME_HZ]
    return min(near, key=lambda cut: abs(cut - middle)) if near else middle


def _shapes_of(shapes: Shapes | None, first: int, last: int) -> Shapes | None:
    return None if shapes is None else shapes.part(first, last)


def _known(probability: float) -> float:
    return probability if np.isfinite(probability) else 0.0
