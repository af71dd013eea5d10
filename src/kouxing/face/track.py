"""Follow one face through a video: 478 mesh points a frame, of which lips, anchors and jaw are kept.

In most frames only the mesh network runs, on a square around the face. The detector looks in when the face is lost, at
cuts, now and then to see that the square still holds a face, and often while several faces are about. Nothing is
smoothed over time: the points are those of each picture alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kouxing.errors import OptionError
from kouxing.face import memory
from kouxing.face.cast import NEAR, Person, Sighting, assign, look_of_mesh, place_of_mesh, sighting_of_box
from kouxing.face.detect import Detector
from kouxing.face.graphs import MESH_POINTS, MeshNetwork
from kouxing.face.landmarks import ANCHOR_POINTS, JAW_POINTS, LIP_POINTS
from kouxing.face.picture import Picture
from kouxing.face.reader import Reader
from kouxing.face.shots import Shots
from kouxing.face.square import Square, around_box, locate, read
from kouxing.types import ANCHORS, JAW, LIPS, Bytes, FaceTrack, Float, VideoFrame

KEPT = np.array(LIP_POINTS + ANCHOR_POINTS + JAW_POINTS)

CHECK_ALONE = 12
CHECK_CROWD = 4
CHECK_DOUBT = 2
"""Frames between two looks of the detector: one face; several; nobody confirmed the face last time."""

MOST_DOUBTS = 4
"""A face that the detector misses so many times in a row is none."""

ABOUT = 50
"""Frames for which another person is thought to be about after being seen."""

THOROUGH_EVERY = 10
"""Of the frames without the face, each so manieth is searched thoroughly."""

OTHERS = 8

JUMP = 0.4
JUMP_CHANGE = 0.3
"""A face that moves by more of its size between two frames, in a picture that changes by more (in units of
``shots.CHANGE``), stands in a new shot of the same scene."""

GLIMPSE = 5
FORGOTTEN = 10
"""Somebody seen in fewer frames, then in none of so many in a row, was a ghost of a damaged start: look anew."""

HOPPED = 0.15
"""The mesh has slipped onto another face when its looks are nearer to that one by so much."""


REMEMBERED = (
    "_wanted", "_shots", "_cast", "_me", "_others", "_square", "_new_shot", "_doubts", "_checked", "_lost", "_seen",
)  # fmt: skip
"""Attributes that decide about the next picture."""


@dataclass(frozen=True)
class Observation:
    """The followed face in one frame, in frame pixels.

    Attributes:
        found: False where it is not to be seen; the points are NaN then.
        cut: a new shot starts here.
        lips, anchors, jaw: ``[40, 2]``, ``[8, 2]``, ``[21, 2] float32`` as in ``types.FaceTrack``.
    """

    found: bool
    cut: bool
    lips: Float
    anchors: Float
    jaw: Float


class FaceTracker:
    """Follows the face that ``follow`` names; feed pictures in order. Usable as a context manager.

    Args:
        follow: 0 the largest face of the first frame with faces, 1 the next, ...; faces that come later count on.

    Raises:
        OptionError: ``follow`` is negative.
    """

    def __init__(self, follow: int = 0) -> None:
        if follow < 0:
            raise OptionError(f"face index {follow}: count faces from 0, the largest")
        self._wanted = follow
        self._reader = Reader()
        self._detector = Detector()
        self._shots = Shots()
        self._earlier = 0
        self._rows: list[Float] = []
        self._cuts: list[bool] = []
        self._cast: list[Person] = []
        self._me: Person | None = None
        self._others: list[Person] = []
        self._square: Square | None = None
        self._new_shot = False
        self._doubts = 0
        self._checked = 0
        self._lost = 0
        self._seen = 0

    def __enter__(self) -> FaceTracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks; the track can still be read."""
        self._reader.close()
        self._detector.close()

    @property
    def faces(self) -> int:
        """How many different people were told apart so far."""
        return len(self._cast) if self._me is None else 1 + len(self._others)

    def expect(self, image: Bytes | VideoFrame) -> None:
        """Begin to read, in a thread, a picture that will be pushed soon; in order, ``reader.AHEAD`` of them at most.

        What ``push`` tells stays the same. On two cores a video is followed in about a fifth less time.
        """
        if self._square is not None:
            self._reader.begin(image, self._square)

    def push(self, image: Bytes | VideoFrame) -> Observation:
        """Follow the face into the next picture.

        Args:
            image: ``[H, W, 3] uint8`` RGB, or a video frame (of which only what is needed is converted).
        """
        picture = Picture(image)
        now = self._earlier + len(self._rows)
        cut = self._shots.push(picture)
        if cut:
            self._square, self._new_shot = None, True
        points = self._face(picture, now)
        if points is not None:
            cut = self._moved_to(points, now) or cut
            self._lost = 0
            self._seen += 1
        else:
            self._square = None
            self._lost += 1
            if self._me is not None and self._seen < GLIMPSE and self._lost >= FORGOTTEN:
                self._me, self._others, self._cast, self._seen = None, [], [], 0
        row = np.full((len(KEPT), 2), np.nan, np.float32) if points is None else points[KEPT]
        self._rows.append(row)
        self._cuts.append(cut)
        return Observation(points is not None, cut, *_split(row))

    def track(self) -> FaceTrack:
        """Everything so far (since ``restore``, if that was called), a row per pushed picture."""
        rows = np.stack(self._rows) if self._rows else np.zeros((0, len(KEPT), 2), np.float32)
        lips, anchors, jaw = _split(rows)
        return FaceTrack(lips, anchors, jaw, np.isfinite(rows).all((1, 2)), np.array(self._cuts, bool))

    def state(self) -> dict[str, NDArray[Any]]:
        """What the tracker remembers of the pictures so far, but for their rows; for ``restore``."""
        return memory.kept(
            {name: getattr(self, name) for name in REMEMBERED} | {"now": self._earlier + len(self._rows)}
        )

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on, on a fresh tracker, from where another one stood: the next picture follows the last one pushed there.

        Raises:
            ValueError: ``state`` is not what ``state`` gave.
        """
        known = memory.brought_back(state)
        if not isinstance(known, dict) or known.keys() != {*REMEMBERED, "now"}:
            raise ValueError("not the state of a FaceTracker")
        self._earlier = known.pop("now")
        self._rows, self._cuts = [], []
        for name, value in known.items():
            setattr(self, name, value)

    def _face(self, picture: Picture, now: int) -> Float | None:
        """The followed face's ``[478, 2]`` points in this picture."""
        points = None
        if self._square is not None:
            place = locate(self._reader.read, picture, self._square)
            if place is not None and self._square.grown(place[1]) < 0.7:
                points, self._square = place
        if points is None or self._due(now):
            self._checked = now
            rows = self._detector.faces(picture, points is None and self._lost % THOROUGH_EVERY == 0)
            sightings = [sighting_of_box(picture, row) for row in rows]
            if self._me is None:
                self._meet(picture, sightings, now)
            points = self._recognise(picture, sightings, points, now)
        if points is not None and self._hopped(picture, points, now):
            return None
        return points

    def _due(self, now: int) -> bool:
        since = now - self._checked
        if self._doubts:
            return since >= CHECK_DOUBT
        about = self._about(now)
        if not about:
            return since >= CHECK_ALONE
        return since >= CHECK_CROWD or bool(self._near(now))

    def _about(self, now: int) -> list[Person]:
        return [person for person in self._others if now - person.seen <= ABOUT]

    def _near(self, now: int) -> list[Person]:
        if self._me is None:
            return []
        here, size = self._me.expected(now), self._me.size
        return [p for p in self._about(now) if np.hypot(*(p.expected(now) - here)) < NEAR * max(size, p.size)]

    def _meet(self, picture: Picture, sightings: list[Sighting], now: int) -> None:
        """Count people until the wanted one has shown up."""
        known = assign(self._cast, sightings, now, self._new_shot)
        for person, place in zip(self._cast, known, strict=True):
            if place is not None:
                person.move(sightings[place].centre, sightings[place].size, now)
        for place, sighting in enumerate(sightings):
            # The mesh has a say: the detector alone takes some things for faces that are none.
            if place not in known and locate(self._reader.read, picture, sighting.square) is not None:
                self._cast.append(Person.of(sighting, now))
        if sightings:
            self._new_shot = False
        if len(self._cast) > self._wanted:
            self._me = self._cast[self._wanted]
            self._others = [person for person in self._cast if person is not self._me][:OTHERS]
            self._cast = []

    def _recognise(self, picture: Picture, sightings: list[Sighting], points: Float | None, now: int) -> Float | None:
        """Check the mesh's ``points`` against all faces in the picture, or find the followed one among them."""
        if self._me is None:
            return None
        places = assign([self._me, *self._others], sightings, now, self._new_shot)
        mine, theirs = places[0], places[1:]
        for person, place in zip(self._others, theirs, strict=True):
            if place is not None:
                person.move(sightings[place].centre, sightings[place].size, now, jumped=self._new_shot)
        if mine is None:
            return self._unconfirmed(sightings, theirs, points)
        seen = sightings[mine]
        if points is None or not _same_place(points, seen):
            place_now = locate(self._reader.read, picture, seen.square)
            if place_now is None:
                return None
            points, self._square = place_now
        self._doubts = 0
        if not self._near(now):
            self._me.looks.learn(seen.look, self._new_shot)
        for place, other in enumerate(sightings):
            if place not in places and len(self._others) < OTHERS and not _same_place(points, other):
                # Seen together with the followed face: surely somebody else.
                self._others.append(Person.of(other, now))
        return points

    def _unconfirmed(self, sightings: list[Sighting], theirs: list[int | None], points: Float | None) -> Float | None:
        """The detector does not see the followed face where the mesh does."""
        if points is None:
            return None
        if any(place is not None and _same_place(points, sightings[place]) for place in theirs):
            return None
        self._doubts += 1
        return None if self._doubts > MOST_DOUBTS else points

    def _hopped(self, picture: Picture, points: Float, now: int) -> bool:
        """Whether the mesh has slipped onto a face that stands near the followed one."""
        near = self._near(now)
        if not near or self._me is None:
            return False
        seen = look_of_mesh(picture, points)
        return self._me.looks.unlike(seen) > min(person.looks.unlike(seen) for person in near) + HOPPED

    def _moved_to(self, points: Float, now: int) -> bool:
        """Note the face's new place; whether it jumped there, as in a new shot of the same scene."""
        if self._me is None:
            raise AssertionError("points without a person")
        centre, size = place_of_mesh(points)
        moved = float(np.hypot(*(centre - self._me.centre))) / max(self._me.size, 1.0)
        grown = abs(float(np.log(size / self._me.size)))
        before = self._me.seen == now - 1
        jumped = before and max(moved, grown) > JUMP and self._shots.change > JUMP_CHANGE
        self._me.move(centre, size, now, jumped or self._new_shot)
        self._new_shot = False
        return jumped


def _same_place(points: Float, sighting: Sighting) -> bool:
    return float(np.hypot(*(place_of_mesh(points)[0] - sighting.centre))) < 0.45 * sighting.size


def _split(rows: Float) -> tuple[Float, Float, Float]:
    """``[..., 69, 2]`` -> lips, anchors, jaw."""
    return rows[..., :LIPS, :], rows[..., LIPS : LIPS + ANCHORS, :], rows[..., LIPS + ANCHORS :, :]


def track_video(
    frames: Iterable[VideoFrame], follow: int = 0, progress: Callable[[int], None] | None = None
) -> FaceTrack:
    """Follow one face through a whole video.

    Args:
        frames: pictures in order.
        follow: see ``FaceTracker``.
        progress: called with the number of pictures done, after each.

    Returns:
        A row per picture; ``found`` is False throughout where there is no such face.
    """
    with FaceTracker(follow) as tracker:
        for done, frame in enumerate(frames, 1):
            tracker.push(frame)
            if progress is not None:
                progress(done)
        return tracker.track()


def mesh(image: Bytes) -> Float:
    """All points of all faces in one picture.

    Args:
        image: ``[H, W, 3] uint8`` RGB.

    Returns:
        ``[F, 478, 2] float32`` in picture pixels, largest face first; F is 0 without any.
    """
    picture = Picture(image)
    network, detector = MeshNetwork(), Detector()
    try:
        places = [
            locate(partial(read, network), picture, around_box(row)) for row in detector.faces(picture, thorough=True)
        ]
        points = [place[0] for place in places if place is not None]
        return np.stack(points) if points else np.zeros((0, MESH_POINTS, 2), np.float32)
    finally:
        network.close()
        detector.close()


assert len(KEPT) == LIPS + ANCHORS + JAW
