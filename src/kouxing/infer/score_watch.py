"""The pictures' side of a score: each followed face's mouth against the speech around it, in bounded memory.

Pictures are taken at ``FRAME_HZ`` whatever the file's own rate. Of each only the patch around the mouth is kept until
the crop is steady, for a few seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import cv2
import numpy as np

from kouxing.face import geometry
from kouxing.face.crop import SCALE_SIGMA_S, apply, crop_matrices, invert
from kouxing.face.mouth_picture import BOTTOM_PX, LEFT_PX, RIGHT_PX, TOP_PX, mouth_picture
from kouxing.face.offset import REACH, similarities
from kouxing.infer.scan import Resumable, Tracker
from kouxing.infer.score_listen import Heard, Judge
from kouxing.infer.score_opinion import SHAPES, shapes
from kouxing.media.colour import to_rgb
from kouxing.types import ANCHORS, LIPS, Bool, Bytes, Float, VideoFrame
from kouxing.units import CROP_PX, FRAME_HZ

LAGS = 2 * REACH + 1

CHUNK = 64
"""Pictures that are embedded at once."""

STEADY = round(4 * SCALE_SIGMA_S * FRAME_HZ)
"""Pictures on both sides that decide how a crop lies: where ``face.crop`` cuts its Gaussian off."""

HELD = 3
"""A picture stands for its neighbours up to so many frames away; longer holes in the video show nobody."""

FILLED = 4
"""Pictures in a row without the face that are bridged from both sides."""

MARGIN_PX = 24
"""Around the mouth's part of the crop, in crop pixels: what steadying the crop may move."""

UNDER_WAY = 3
"""Chunks of one face that may wait for the networks."""

EVERY = 2
"""Of pictures at full rate each so manieth is tracked: eyes and nose, which the crop follows, move slowly enough."""

FORGET_EVERY = 1500
"""Pictures after which a tracker's own rows are dropped: they would grow with the video."""


@dataclass(frozen=True)
class Shown:
    """One picture at ``FRAME_HZ``.

    Attributes:
        frame: what is shown.
        number: of the picture, from 0.
        times: how many pictures in a row show it, at least 1.
        late_s: mean time by which the frame comes after those pictures' own times.
    """

    frame: VideoFrame
    number: int
    times: int
    late_s: float


def steadied(frames: Iterable[VideoFrame]) -> Iterator[Shown]:
    """Frames of any rate, even or not, as pictures at ``FRAME_HZ``: for each time the frame nearest to it.

    Numbers that no frame is near (``HELD``) are left out. Frames that no picture falls on are dropped.
    """
    before: VideoFrame | None = None
    begin, earlier = 0, Fraction(0)
    for frame in frames:
        at = frame.time * FRAME_HZ
        if before is not None:
            # Up to the middle between the two, that one included: a later frame's picture is not yet known.
            end = floor((earlier + at) / 2) + 1
            yield from _stretch(before, earlier, begin, end)
            begin = max(begin, end)
        before, earlier = frame, at
    if before is not None:
        yield from _stretch(before, earlier, begin, max(floor(earlier + Fraction(1, 2)) + 1, begin))


def _stretch(frame: VideoFrame, at: Fraction, begin: int, end: int) -> Iterator[Shown]:
    first, last = max(begin, ceil(at) - HELD), min(end, floor(at) + HELD + 1)
    if last > first:
        yield Shown(frame, first, last - first, (float(at) - (first + last - 1) / 2) / FRAME_HZ)


NOWHERE, NO_LIPS = np.full((ANCHORS, 2), np.nan, np.float32), np.full((LIPS, 2), np.nan, np.float32)


@dataclass
class _Piece:
    """What is kept of one picture."""

    number: int
    anchors: Float
    lips: Float
    found: bool
    patch: Bytes
    onto: Float
    """``[2, 3]``: frame pixels -> patch pixels (a shift and halvings)."""


@dataclass(frozen=True)
class Watched:
    """One face over the whole video.

    Attributes:
        sim: ``[T, 31] float32`` (``face.offset.similarities``), NaN where the face or the sound was not there.
        seen: ``[T] bool``, pictures that show the face.
        shapes: ``[T, 2] float32``, opening and width of the mouth (``score_opinion.shapes``), NaN where it is not seen.
        cuts: pictures that begin a new shot.
        people: how many people the tracker told apart.
    """

    sim: Float
    seen: Bool
    shapes: Float
    cuts: tuple[int, ...]
    people: int


class Watcher:
    """Follows one face, picture by picture.

    Args:
        tracker: at its beginning; closed by ``finish`` or ``close``.
        judge: makes unit vectors of mouths.
        heard: the sound.
        pool: where crops and networks run; of one worker, since ``heard`` and the order matter there.
        every: see ``EVERY``.
    """

    def __init__(
        self, tracker: Tracker, judge: Judge, heard: Heard, pool: ThreadPoolExecutor, every: int = EVERY
    ) -> None:
        self._tracker, self._pool, self._every = tracker, pool, every
        self._mouths = _Mouths(judge, heard)
        self._run: list[_Piece] = []
        """Pictures of the face without a break; those before the last ``STEADY`` that were embedded are dropped."""
        self._done = 0
        """So many at the beginning of ``_run`` are embedded."""
        self._fresh = True
        self._untracked: list[_Piece] = []
        """Pictures since the last tracked one; they count if the next one goes on with the same face."""
        self._missing = 0
        self._box: Float | None = None
        self._pushed = 0
        self._next = 0
        self._waiting: deque[Future[None]] = deque()
        self._seen: list[tuple[int, int]] = []
        self._cuts: list[int] = []
        self._shapes: list[tuple[int, Float]] = []

    def push(self, shown: Shown) -> None:
        """Take the next picture."""
        gap = shown.number > self._next
        if not gap and shown.times == 1 and self._box is not None and len(self._untracked) + 1 < self._every:
            patch, onto = _patch(shown.frame, self._box)
            self._untracked.append(_Piece(shown.number, NOWHERE, NO_LIPS, False, patch, onto))
            self._next = shown.number + 1
            return
        seen = self._tracker.push(shown.frame)
        self._pushed += 1
        if self._pushed % FORGET_EVERY == 0 and isinstance(self._tracker, Resumable):
            self._tracker.restore(self._tracker.state())
        if seen.cut or gap:
            self._end()
            if seen.cut:
                self._cuts.append(shown.number)
        before = self._next
        self._next = shown.number + shown.times
        if seen.found:
            one = np.ones(1, bool)
            self._box = crop_matrices(seen.anchors[None], one, one, FRAME_HZ)[0]
            if self._untracked:
                self._seen.append((before - len(self._untracked), before))
            self._seen.append((shown.number, self._next))
            self._missing = 0
        else:
            self._missing += shown.times + len(self._untracked)
            if self._missing > FILLED or self._box is None:
                self._end()
                return
        self._run += self._untracked
        self._untracked = []
        patch, onto = _patch(shown.frame, self._box)
        for number in range(shown.number, self._next):
            self._run.append(_Piece(number, seen.anchors, seen.lips, seen.found, patch, onto))
        if len(self._run) - self._done >= CHUNK + STEADY:
            self._embed(len(self._run) - STEADY)

    def finish(self) -> Watched:
        """Everything that was seen."""
        self._end()
        while self._waiting:
            self._waiting.popleft().result()
        people = int(getattr(self._tracker, "faces", 1))
        self.close()
        sim = np.full((self._next, LAGS), np.nan, np.float32)
        for first, rows in self._mouths.made:
            sim[first : first + len(rows)] = rows
        moved = np.full((self._next, SHAPES), np.nan, np.float32)
        for first, rows in self._shapes:
            moved[first : first + len(rows)] = rows
        seen = np.zeros(self._next, bool)
        for first, last in self._seen:
            seen[first:last] = True
        return Watched(sim, seen, moved, tuple(self._cuts), people)

    def close(self) -> None:
        """Free the tracker; what still waits is dropped."""
        for future in self._waiting:
            future.cancel()
        self._tracker.close()

    def _end(self) -> None:
        """The face is gone, or a new shot begins: nothing is looked at across."""
        while self._run and not self._run[-1].found:
            self._run.pop()
        if len(self._run) > self._done:
            self._embed(len(self._run))
        self._run, self._untracked, self._done, self._fresh, self._box = [], [], 0, True, None

    def _embed(self, last: int) -> None:
        anchors = np.stack([piece.anchors for piece in self._run])
        found = np.array([piece.found for piece in self._run])
        matrices = crop_matrices(anchors, found, np.zeros(len(found), bool), FRAME_HZ)
        job = list(zip(self._run[self._done : last], matrices[self._done : last], strict=True))
        lips = apply(matrices, np.stack([piece.lips for piece in self._run]))
        self._shapes.append((self._run[self._done].number, bridged(lips, found)[self._done : last]))
        self._waiting.append(self._pool.submit(self._mouths.take, job, self._fresh))
        while len(self._waiting) > UNDER_WAY:
            self._waiting.popleft().result()
        gone = max(last - STEADY, 0)
        self._run, self._done, self._fresh = self._run[gone:], last - gone, False


def bridged(lips: Float, found: Bool) -> Float:
    """Opening and width of the lips ``[T, 40, 2]``, in straight lines between the pictures in which they were found.

    Returns:
        ``[T, 2] float32`` (``score_opinion.shapes``); NaN where they never were.
    """
    known = np.flatnonzero(found & np.isfinite(lips).all((1, 2)))
    if not len(known):
        return np.full((len(lips), SHAPES), np.nan, np.float32)
    # Which shape is at rest does not count: only what moves does.
    told = shapes(geometry.from_lips(lips[known], np.zeros_like(lips[0])))
    times = np.arange(len(lips))
    return np.stack([np.interp(times, known, told[:, one]) for one in range(SHAPES)], 1).astype(np.float32)


class _Mouths:
    """Similarities of one face's mouths with the speech, chunk after chunk; used by one thread."""

    def __init__(self, judge: Judge, heard: Heard) -> None:
        self._judge, self._heard = judge, heard
        self._reach = judge.mouth_frames // 2
        self._tail: list[Bytes] = []
        self.made: list[tuple[int, Float]] = []
        """First picture and ``[n, 31]`` rows from there on."""

    def take(self, job: list[tuple[_Piece, Float]], fresh: bool) -> None:
        """The next pictures with their crops' transforms; ``fresh``: they do not go on where the last ones ended."""
        tail = [] if fresh else self._tail
        pictures = [*tail, *(mouth_picture(_crop(piece, matrix)) for piece, matrix in job)]
        self._tail = pictures[max(len(pictures) - 2 * self._reach, 0) :]
        count = len(pictures) - 2 * self._reach
        if count <= 0:
            return
        first = job[0][0].number - len(tail) + self._reach
        rows = self._judge.embed_mouths(np.stack(pictures))[self._reach : self._reach + count]
        speech = self._heard.rows(first - REACH, first + count + REACH)
        if speech.shape[1] != rows.shape[1]:  # No speech at all around here.
            return
        # Rows of NaN on both sides give the speech around the first and the last mouth its place.
        blank = np.full((REACH, rows.shape[1]), np.nan, np.float32)
        self.made.append((first, similarities(np.concatenate([blank, rows, blank]), speech, REACH)[REACH:-REACH]))


def _patch(frame: VideoFrame, box: Float) -> tuple[Bytes, Float]:
    """The part of a frame that the mouth picture can come from.

    Args:
        box: ``[2, 3]``: frame pixels -> crop pixels, about.

    Returns:
        ``[h, w, 3] uint8`` RGB, and ``[2, 3]``: frame pixels -> patch pixels.
    """
    x0, y0, x1, y1 = (LEFT_PX - MARGIN_PX, TOP_PX - MARGIN_PX, RIGHT_PX + MARGIN_PX, BOTTOM_PX + MARGIN_PX)
    corners = apply(invert(box), np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], np.float32))
    halvings = max(ceil(-np.log2(2 * float(np.hypot(box[0, 0], box[1, 0])))), 0)
    # Where ``face.crop`` would halve the whole picture, the patch must begin on the same grid.
    grid = 1 << max(halvings, 1)
    low = np.floor(corners.min(0) / grid).astype(int) * grid
    high = np.ceil(corners.max(0)).astype(int) + 1
    left, top = min(max(int(low[0]), 0), (frame.width - 1) // grid * grid), max(int(low[1]), 0)
    top = min(top, (frame.height - 1) // grid * grid)
    right, bottom = min(max(int(high[0]), left + 1), frame.width), min(max(int(high[1]), top + 1), frame.height)
    patch = to_rgb(frame, (left, top, right, bottom))
    scale = 1.0
    for _ in range(halvings):
        if min(patch.shape[:2]) < 2:
            break
        patch, scale = np.asarray(cv2.pyrDown(patch), np.uint8), scale / 2
    return patch, np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float32)


def _crop(piece: _Piece, matrix: Float) -> Bytes:
    """The upright crop, of which only what the mouth picture shows is filled in.

    The same cubic warp as ``face.crop.crop_face``, on the patch and for a fifth of the area.
    """
    scale = piece.onto[0, 0]
    onto = matrix.copy()
    onto[:, 2] -= matrix[:, :2] @ piece.onto[:, 2] / scale
    onto[:, :2] /= scale
    onto[:, 2] -= (LEFT_PX, TOP_PX)
    size = (RIGHT_PX - LEFT_PX, BOTTOM_PX - TOP_PX)
    crop = np.zeros((CROP_PX, CROP_PX, 3), np.uint8)
    crop[TOP_PX:BOTTOM_PX, LEFT_PX:RIGHT_PX] = cv2.warpAffine(
        piece.patch, onto, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return crop


def watch(
    shown: Iterable[Shown],
    watchers: Sequence[Watcher],
    told: Callable[[int], None],
) -> float:
    """Show a whole video to some watchers.

    Args:
        told: called with the number of pictures so far.

    Returns:
        Mean time in seconds by which the frames looked at came after the pictures that they stood for.
    """
    late, count = 0.0, 0
    for one in shown:
        for watcher in watchers:
            watcher.push(one)
        late, count = late + one.late_s * one.times, count + one.times
        told(one.number + one.times)
    return late / count if count else 0.0
