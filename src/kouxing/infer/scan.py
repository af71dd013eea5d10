"""First pass over the footage: follow the face, frame by frame, keeping points and times but no picture."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kouxing.errors import NoVideoError
from kouxing.face.crop import crop_matrices
from kouxing.face.reader import AHEAD
from kouxing.infer.job import Job
from kouxing.infer.pipeline import ahead, announced, side_by_side
from kouxing.infer.references import sharpness
from kouxing.infer.source import Footage, frame_bytes
from kouxing.infer.timeline import Ticks
from kouxing.types import FaceTrack, Float, VideoFrame

CHUNK = 500
"""Frames per saved piece of a scan: what a killed job loses at most."""

QUEUE_BYTES = 64 << 20
"""Pictures waiting between two stages together take at most so much, but there are at least two."""

BESIDE = 2
"""Frames whose detail is being measured while the tracker looks at the next."""

FOOTAGE = "footage.json"
DONE = "scan.json"
STATE = "state_"
"""Before the names of a tracker's state in a saved piece."""

Progress = Callable[[str, int, "int | None"], None]
"""Called with (stage, done, total); total is None where it is not known."""


class Seen(Protocol):
    """The followed face in one frame, as ``face.track.Observation``."""

    @property
    def found(self) -> bool: ...
    @property
    def cut(self) -> bool: ...
    @property
    def lips(self) -> Float: ...
    @property
    def anchors(self) -> Float: ...
    @property
    def jaw(self) -> Float: ...


class Tracker(Protocol):
    """What ``face.track.FaceTracker`` offers here."""

    def push(self, image: VideoFrame) -> Seen:
        """Follow the face into the next picture."""
        ...

    def track(self) -> FaceTrack:
        """Everything so far."""
        ...

    def close(self) -> None:
        """Free the networks."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """A tracker whose memory can be kept between two runs."""

    def state(self) -> Mapping[str, NDArray[Any]]:
        """Its memory, as named arrays."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from there."""
        ...


@runtime_checkable
class Expecting(Protocol):
    """A tracker that can look at pictures before their turn."""

    def expect(self, image: VideoFrame) -> None:
        """Told of pictures that will be pushed soon, in order, ``face.reader.AHEAD`` of them at most."""
        ...


@dataclass(frozen=True)
class Scan:
    """What one pass over the footage learnt.

    Attributes:
        track: the followed face in frame pixels, ``[N]`` frames.
        sharp: ``[N, 2] float32`` from ``references.sharpness``; 0 without a face.
        pts: ``[N] int64`` in units of ``time_base``.
        time_base: seconds per unit.
        size_px: width, height.
        bytes_each: memory that one frame takes.
    """

    track: FaceTrack
    sharp: Float
    pts: Ticks
    time_base: Fraction
    size_px: tuple[int, int]
    bytes_each: int

    def __len__(self) -> int:
        return len(self.pts)


def queue_depth(bytes_each: int) -> int:
    """Pictures of so many bytes that may wait between two stages."""
    return max(2, min(8, QUEUE_BYTES // max(bytes_each, 1)))


def scan(
    job: Job,
    footage: Footage,
    make: Callable[[], Tracker],
    limit: Fraction | None,
    told: Callable[[int], None],
) -> Scan:
    """Follow the face through the footage, or read what an earlier run of the job found.

    Args:
        job: keeps the result.
        footage: what to look at.
        make: -> a tracker at its beginning.
        limit: the first frame at or after this time (seconds) is the last one looked at; None for all.
        told: called with the number of frames so far.

    Raises:
        NoVideoError: there is no frame at all.
        OutputError: the job's folder cannot be written.
    """
    if not _is_done(job):
        tracker = make()
        try:
            _look(job, footage, tracker, limit, told)
        finally:
            tracker.close()
    about = job.load_json(FOOTAGE)
    pieces = [job.load_arrays(_name(number)) for number in range(job.load_json(DONE)["pieces"])]
    rows = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0] if not key.startswith(STATE)}
    track = FaceTrack(rows["lips"], rows["anchors"], rows["jaw"], rows["found"], rows["cut"])
    return Scan(
        track=track,
        sharp=rows["sharp"],
        pts=rows["pts"],
        time_base=Fraction(about["time_base"]),
        size_px=(about["width"], about["height"]),
        bytes_each=about["bytes_each"],
    )


def _is_done(job: Job) -> bool:
    """Whether an earlier run saw all of it, and everything that it kept is there."""
    if not (job.has(DONE) and job.has(FOOTAGE)):
        return False
    return all(job.has(_name(number)) for number in range(job.load_json(DONE)["pieces"]))


def _look(job: Job, footage: Footage, tracker: Tracker, limit: Fraction | None, told: Callable[[int], None]) -> None:
    """Track what is not tracked yet, a saved piece after the other."""
    pieces, done, last_pts = _taken_up(job, tracker)
    if done:
        about = job.load_json(FOOTAGE)
        frames: Iterable[VideoFrame] = islice(footage.read_from(last_pts, Fraction(about["time_base"])), 1, None)
        if limit is not None and last_pts * Fraction(about["time_base"]) >= limit:
            frames = ()
    else:
        first = next(footage.read(), None)
        if first is None:
            raise NoVideoError(f"{footage.path}: has no picture that can be decoded; export it again")
        about = {
            "time_base": str(first.time_base),
            "width": first.width,
            "height": first.height,
            "bytes_each": frame_bytes(first),
        }
        job.save_json(FOOTAGE, about)
        frames = footage.read()
    with closing(ahead(_until(frames, limit), queue_depth(about["bytes_each"]))) as waiting:
        while part := _tracked(tracker, islice(waiting, CHUNK), done, told):
            if isinstance(tracker, Resumable):
                part |= {STATE + key: value for key, value in tracker.state().items()}
            job.save_arrays(_name(pieces), part)
            pieces, done = pieces + 1, done + len(part["pts"])
    job.save_json(DONE, {"pieces": pieces})


def _taken_up(job: Job, tracker: Tracker) -> tuple[int, int, int]:
    """Pieces and frames that an earlier run tracked, and the last one's pts; the tracker remembers them."""
    pieces = next(number for number in range(1 << 30) if not job.has(_name(number)))
    if not pieces or not isinstance(tracker, Resumable) or not job.has(FOOTAGE):
        return 0, 0, 0
    counts = [len(job.load_arrays(_name(number))["pts"]) for number in range(pieces)]
    last = job.load_arrays(_name(pieces - 1))
    tracker.restore({key.removeprefix(STATE): value for key, value in last.items() if key.startswith(STATE)})
    return pieces, sum(counts), int(last["pts"][-1])


def _until(frames: Iterable[VideoFrame], limit: Fraction | None) -> Generator[VideoFrame, None, None]:
    for frame in frames:
        yield frame
        if limit is not None and frame.time >= limit:
            return


def _tracked(
    tracker: Tracker, frames: Iterable[VideoFrame], done: int, told: Callable[[int], None]
) -> dict[str, NDArray[Any]]:
    """Rows of some frames; empty where there is no frame."""
    seen: list[Seen] = []
    pts: list[int] = []
    sharp: list[Float] = []
    # The detail of one frame is measured while the tracker looks at the next.
    with closing(side_by_side(_followed(tracker, frames), _looked_at, 1, BESIDE)) as looked_at:
        for when, row, detail in looked_at:
            seen.append(row)
            pts.append(when)
            sharp.append(detail)
            told(done + len(pts))
    if not pts:
        return {}
    return {
        "lips": np.stack([row.lips for row in seen]),
        "anchors": np.stack([row.anchors for row in seen]),
        "jaw": np.stack([row.jaw for row in seen]),
        "found": np.array([row.found for row in seen], bool),
        "cut": np.array([row.cut for row in seen], bool),
        "pts": np.array(pts, np.int64),
        "sharp": np.stack(sharp),
    }


def _followed(tracker: Tracker, frames: Iterable[VideoFrame]) -> Generator[tuple[VideoFrame, Seen], None, None]:
    """Frames with the face in them; the tracker may look at each while those before are under way."""
    if isinstance(tracker, Expecting):
        frames = announced(frames, tracker.expect, AHEAD)
    for frame in frames:
        yield frame, tracker.push(frame)


def _looked_at(followed: tuple[VideoFrame, Seen]) -> tuple[int, Seen, Float]:
    """A frame's pts, the face in it, and its detail."""
    frame, seen = followed
    if not seen.found:
        return frame.pts, seen, np.zeros(2, np.float32)
    one = np.ones(1, bool)
    return frame.pts, seen, sharpness(frame.planes[0], crop_matrices(seen.anchors[None], one, one, 1.0)[0])


def _name(number: int) -> str:
    return f"scan-{number:05d}.npz"
