"""Where the sounds of a text may lie, drawn by how likely that is: what a single best placement hides.

In a hole, or in loud noise, words may come a syllable earlier or later, and only the mean over all placements is the
mouth that is right on the whole. Drawn by forward filtering and backward sampling of the aligner's semi-Markov model,
in pieces between pauses that are heard, so that long texts take no longer by the minute than short ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kouxing.types import Bool, Float

Rng = np.random.Generator
SPREAD = 0.3
"""Of the logarithm of a phone's length around the expected one."""
PAUSED, PAUSE_MELS = 0.05, 20
"""How often people pause between two words of a sentence, and for how long."""
PIECE = 800
"""Mel frames after which a long stretch without a pause is cut between two sounds that are heard."""
PAUSE = 12
"""Mel frames of a pause in which a stretch is cut."""


@dataclass(frozen=True)
class Chain:
    """N sounds and pauses in order, as the aligner knows them.

    Attributes:
        tells: ``[N]`` column of the scores that tells of it.
        before: ``[N, most]`` which may come before it; N where there are fewer.
        prior: ``[longest, N]`` log prior of lasting 1 to ``longest`` frames.
        further: ``[N]`` what every further frame costs.
    """

    tells: NDArray[np.int64]
    before: NDArray[np.int64]
    prior: Float
    further: Float

    def part(self, low: int, high: int) -> Chain:
        """The sounds ``low`` to ``high - 1``, by themselves."""
        before = self.before[low:high] - low
        before = np.where((before < 0) | (before >= high - low), high - low, before)
        return Chain(self.tells[low:high], before, self.prior[:, low:high], self.further[low:high])


def chain_of(
    tells: NDArray[np.int64], before: NDArray[np.int64], lengths: Float, rare: Bool, shortest: int, longest: int
) -> Chain:
    """A sentence with the lengths that its sounds may have.

    Args:
        tells, before: as in ``Chain``.
        lengths: ``[N]`` mel frames expected; 0 for a pause, which may be of any length.
        rare: ``[N]``: pauses that are seldom made.
        shortest: mel frames that every sound lasts at least.
        longest: up to which lengths are told one by one.
    """
    frames, middle = np.arange(1, longest + 1)[:, None], np.maximum(lengths, 2.0)
    prior = -0.5 * (np.log(frames / middle) / SPREAD) ** 2
    prior[: shortest - 1] = -np.inf
    further = np.minimum(-np.log(longest / middle) / SPREAD**2 / longest, 0)
    prior[:, lengths == 0], further[lengths == 0] = 0.0, 0.0
    prior[:, rare], further[rare] = np.log(PAUSED / PAUSE_MELS) - frames / PAUSE_MELS, -1 / PAUSE_MELS
    return Chain(tells, before, prior, further)


def draw(
    scores: Float, chain: Chain, path: NDArray[np.int64], pauses: Bool, heard: Bool, count: int, rng: Rng
) -> NDArray[np.int64]:
    """``count`` paths ``[count, M]`` through the chain.

    Args:
        scores: ``[M, columns]``, log likelihood of each frame.
        chain: the sentence.
        path: ``[M]``, the best path; where it is cut, all paths are the same.
        pauses: ``[N]``: which of the chain are pauses.
        heard: ``[M]``: where there is sound; in holes nothing is cut.
        count: how many.
        rng: source of chance.
    """
    made = np.empty((count, len(path)), np.int64)
    bounds = [0, *cuts(path, pauses, heard), len(path)]
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        low, high = int(path[first]), int(path[last - 1]) + 1
        filtered = _Filtered(scores[first:last], chain.part(low, high))
        for row in made:
            row[first:last] = low + filtered.draw(rng)
    return made


def cuts(path: NDArray[np.int64], pauses: Bool, heard: Bool) -> list[int]:
    """Frames at which a stretch is cut: in the middle of pauses that are heard, and between sounds where it is long."""
    edges = np.flatnonzero(np.diff(path)) + 1
    found: list[int] = []
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        if pauses[path[first]] and last - first >= PAUSE and heard[first:last].all():
            found.append(int(first + last) // 2)
    bounds = [0, *found, len(path)]
    sure = [int(edge) for edge in edges if heard[max(0, edge - PAUSE) : edge + PAUSE].all()]
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        at = first
        while last - at > 2 * PIECE:
            after = [edge for edge in sure if at + PIECE <= edge < last]
            if not after:
                break
            at = after[0]
            found.append(at)
    return sorted(found)


class _Filtered:
    """Forward pass: of each sound and frame, the log likelihood of all that may lie before."""

    def __init__(self, scores: Float, chain: Chain) -> None:
        frames, count, longest = len(scores), len(chain.tells), len(chain.prior)
        self._chain, self._frames = chain, frames
        self._so_far = np.concatenate([np.zeros((1, count)), np.cumsum(scores[:, chain.tells], 0, dtype=np.float64)])
        # What a sound that begins at t brings along, less what its frames up to t would have told.
        began = np.full((frames + 1, count), -np.inf)
        ended = np.full((frames + 1, count + 1), -np.inf)
        began[0, 0] = 0.0
        backwards, long = chain.prior[::-1], np.full(count, -np.inf)
        for end in range(1, frames + 1):
            first = max(0, end - longest)
            rows = began[first:end] + backwards[longest - (end - first) :]
            ended[end, :-1] = _sum(np.concatenate([rows, long[None]])) + self._so_far[end]
            if end >= longest:
                long = _sum(np.stack([long, rows[0]])) + chain.further
            began[end] = _sum(ended[end][chain.before].T) - self._so_far[end]
        self._began, self._ended = began, ended

    def draw(self, rng: Rng) -> NDArray[np.int64]:
        """One path ``[frames]``, from the first sound to the last."""
        chain, longest = self._chain, len(self._chain.prior)
        path, state, end = np.empty(self._frames, np.int64), len(chain.tells) - 1, self._frames
        while True:
            prior = chain.prior[:, state]
            if end > longest:
                prior = np.concatenate([prior, prior[-1] + chain.further[state] * np.arange(1, end - longest + 1)])
            length = 1 + _chosen(self._began[:end, state][::-1] + prior[:end], rng)
            path[end - length : end] = state
            end -= length
            if end == 0:
                return path
            before = chain.before[state]
            state = int(before[_chosen(self._ended[end][before], rng)])


def _sum(rows: Float) -> Float:
    """Logarithm of the sum of what ``rows [K, N]`` are logarithms of."""
    most = rows.max(0)
    most = np.where(np.isfinite(most), most, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(most + np.log(np.exp(rows - most).sum(0)))


def _chosen(scores: Float, rng: Rng) -> int:
    shares = np.cumsum(np.exp(scores - scores.max()))
    return int(np.searchsorted(shares, rng.random() * shares[-1], "right"))
