from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

import kouxing
from face.people import HEIGHT, WIDTH, anna, bert, frame_of, put, wall
from kouxing.errors import OptionError
from kouxing.face.landmarks import ANCHOR_POINTS, GAP_LOWER, GAP_UPPER, LIP_POINTS
from kouxing.face.reader import AHEAD
from kouxing.face.track import FaceTracker, mesh, track_video
from kouxing.infer.pipeline import announced
from kouxing.types import Bytes, FaceTrack, Float
from shared import SHARED, needs_shared

FACE_PX = 100.0


def follow(scenes: Sequence[Bytes], which: int = 0) -> FaceTrack:
    with FaceTracker(which) as tracker:
        for scene in scenes:
            tracker.push(scene)
        return tracker.track()


def truth(matrix: Float, person: Bytes) -> Float:
    """The person's own eye corners, moved along into the scene."""
    points = mesh(person)[0][list(ANCHOR_POINTS[:4])]
    return points @ matrix[:, :2].T + matrix[:, 2]


def eyes(track: FaceTrack) -> Float:
    return track.anchors[:, :4].mean(1)


@pytest.fixture(scope="module")
def anna_points() -> Float:
    return mesh(anna())[0]


def test_all_faces_of_a_picture_largest_first() -> None:
    scene = wall()
    put(scene, anna(), 160, 180, 0.7)
    put(scene, bert(), 440, 180, 1.1)
    points = mesh(scene)
    assert points.shape == (2, 478, 2)
    assert points.dtype == np.float32
    assert points[0, :, 0].mean() > 320 > points[1, :, 0].mean()


def test_no_face_no_points() -> None:
    assert mesh(wall()).shape == (0, 478, 2)


def test_a_face_that_moves_grows_and_turns(anna_points: Float) -> None:
    scenes, goals = [], []
    for step in range(30):
        scene = wall()
        x, y = 180 + 9 * step, 180 + 20 * np.sin(step / 4)
        matrix = put(scene, anna(), x, y, 0.7 + 0.02 * step, 12 * np.sin(step / 6))
        scenes.append(scene)
        goals.append(anna_points @ matrix[:, :2].T + matrix[:, 2])
    track = follow(scenes)
    assert track.found.all()
    assert not track.cut.any()
    wanted = np.array(goals)
    lips = np.linalg.norm(track.lips - wanted[:, list(LIP_POINTS)], axis=-1).mean()
    anchors = np.linalg.norm(track.anchors - wanted[:, list(ANCHOR_POINTS)], axis=-1).mean()
    assert lips < 0.02 * FACE_PX
    assert anchors < 0.025 * FACE_PX


def test_pictures_read_ahead_tell_the_same() -> None:
    scenes = []
    for step in range(24):
        scene = wall()
        # It stands still, wanders off, and jumps.
        x = 200 if step < 8 else 200 + 12 * (step - 8) if step < 18 else 480
        if step != 12:
            put(scene, anna(), x, 180)
        scenes.append(scene)
    plain = follow(scenes)
    with FaceTracker() as tracker:
        for scene in announced(scenes, tracker.expect, AHEAD):
            tracker.push(scene)
        ahead = tracker.track()
    for name in ("lips", "anchors", "jaw", "found", "cut"):
        np.testing.assert_array_equal(getattr(ahead, name), getattr(plain, name))
    assert 20 < plain.found.sum() < 24


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_faces_on_their_side_or_head_are_followed(quarters: int) -> None:
    scene = wall()
    put(scene, anna(), 300, 180)
    upright = mesh(scene)[0]
    # So long that the detector looks again.
    turned = [np.ascontiguousarray(np.rot90(scene, quarters))] * 14
    track = follow(turned)
    assert track.found.all() and not track.cut.any()
    wanted = upright[list(ANCHOR_POINTS)]
    for turn in range(quarters):
        # A turn against the clock: what was right is up.
        wanted = np.stack([wanted[:, 1], (HEIGHT if turn % 2 else WIDTH) - wanted[:, 0]], 1)
    assert np.linalg.norm(track.anchors - wanted, axis=-1).mean(1).max() < 0.05 * FACE_PX


def test_a_still_face_stays_still() -> None:
    scene = wall()
    put(scene, anna(), 300, 180)
    track = follow([scene] * 8)
    assert np.abs(np.diff(track.lips[2:], axis=0)).max() == 0


def test_frames_and_images_give_the_same(anna_points: Float) -> None:
    scene = wall()
    put(scene, anna(), 300, 180)
    one, other = follow([scene]), track_video([frame_of(scene)])
    assert np.abs(one.lips - other.lips).max() < 0.015 * FACE_PX


def test_a_large_picture_is_read_as_well() -> None:
    scene = wall()
    put(scene, anna(), 300, 180)
    large = np.asarray(cv2.resize(scene, (4 * WIDTH + 3, 4 * HEIGHT + 1), interpolation=cv2.INTER_CUBIC))
    small, big = follow([scene]), track_video([frame_of(large)])
    assert np.abs(small.lips - big.lips / (4 * WIDTH + 3) * WIDTH).max() < 0.03 * FACE_PX


def test_a_gap_without_a_face() -> None:
    scenes = []
    for step in range(24):
        scene = wall()
        if not 8 <= step < 14:
            put(scene, anna(), 300 + step, 180)
        scenes.append(scene)
    track = follow(scenes)
    assert track.found.tolist() == [not 8 <= step < 14 for step in range(24)]
    assert np.isnan(track.lips[8:14]).all() and np.isnan(track.anchors[8:14]).all() and np.isnan(track.jaw[8:14]).all()


def test_no_face_at_all_is_no_crash() -> None:
    track = follow([wall()] * 12)
    assert not track.found.any()
    assert len(track) == 12


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 5), (64, 64), (3, 900)])
def test_odd_pictures_are_no_crash(size: tuple[int, int]) -> None:
    flat = np.full((*size, 3), 120, np.uint8)
    assert not follow([flat, flat]).found.any()


def test_picture_sizes_may_change() -> None:
    scene = wall()
    put(scene, anna(), 300, 180)
    track = follow([scene, np.ascontiguousarray(scene[:250, 120:470]), scene])
    assert track.found.all()


def test_a_cut_is_told_and_the_face_found_at_once() -> None:
    scenes = []
    for step in range(16):
        scene = wall(0) if step < 8 else 255 - wall(5)
        put(scene, anna(), 180 if step < 8 else 460, 180, 0.8 if step < 8 else 1.2)
        scenes.append(scene)
    track = follow(scenes)
    assert np.flatnonzero(track.cut).tolist() == [8]
    assert track.found.all()
    assert np.all(eyes(track)[:8, 0] < 250) and np.all(eyes(track)[8:, 0] > 380)


def test_a_jump_within_the_same_scene_is_a_cut() -> None:
    scenes = []
    for step in range(12):
        scene = wall()
        put(scene, anna(), 260 if step < 6 else 345, 180)
        scenes.append(scene)
    track = follow(scenes)
    assert np.flatnonzero(track.cut).tolist() == [6]
    assert track.found.all()


def two(step: int, left: float, right: float, front: str = "anna") -> Bytes:
    scene = wall()
    people = [(anna(), left, 1.0), (bert(), right, 0.85)]
    for person, x, zoom in people if front == "bert" else reversed(people):
        put(scene, person, x, 180, zoom)
    return scene


def test_which_face() -> None:
    scenes = [two(step, 170 + step, 460 - step) for step in range(10)]
    for which, side in ((0, 170), (1, 460)):
        track = follow(scenes, which)
        assert track.found.all()
        assert np.abs(eyes(track)[:, 0] - side).max() < 60
    assert not follow(scenes, 2).found.any()


def test_negative_face_is_a_users_mistake() -> None:
    with pytest.raises(OptionError, match="face index -1"):
        FaceTracker(-1)


@pytest.mark.parametrize("front", ["anna", "bert"])
def test_the_chosen_face_is_followed_through_a_crossing(front: str) -> None:
    way = [(140 + 9 * step, 500 - 9 * step) for step in range(41)]
    track = follow([two(step, a, b, front) for step, (a, b) in enumerate(way)])
    off = np.abs(eyes(track)[:, 0] - [a for a, _ in way])
    apart = np.array([abs(a - b) > 130 for a, b in way])
    assert track.found[apart].mean() > 0.85
    assert np.nanmax(off[apart]) < 45
    assert track.found[-8:].all()


def test_somebody_else_who_comes_later_is_not_taken_for_the_one_who_left() -> None:
    scenes = []
    for step in range(60):
        scene = wall()
        if step < 10:
            put(scene, anna(), 250, 180)
        elif 30 <= step < 45:
            put(scene, bert(), 300, 180)
        elif step >= 50:
            put(scene, anna(), 400, 180)
        scenes.append(scene)
    track = follow(scenes)
    assert track.found[:10].all() and track.found[50:].all()
    assert not track.found[10:45].any()


def test_a_ghost_of_a_damaged_start_is_forgotten() -> None:
    ghost, talker = wall(), wall()
    put(ghost, bert(), 200, 180, 0.8)
    put(talker, anna(), 420, 180, 1.0)
    track = follow([ghost] + [wall()] * 12 + [talker] * 6)
    assert track.found[0] and track.found[-5:].all()


def test_a_face_that_comes_late_counts_on() -> None:
    scenes = []
    for step in range(20):
        scene = wall()
        put(scene, anna(), 170, 180)
        if step >= 8:
            put(scene, bert(), 460, 180)
        scenes.append(scene)
    track = follow(scenes, 1)
    assert not track.found[:8].any()
    assert track.found[8:].all()
    assert np.nanmin(eyes(track)[:, 0]) > 320


def test_a_face_half_outside_the_picture() -> None:
    scenes = []
    for step in range(20):
        scene = wall()
        put(scene, anna(), 300 - 18 * step, 180)
        scenes.append(scene)
    track = follow(scenes)
    assert track.found[:12].all()
    assert np.isfinite(track.lips[track.found]).all()


def test_nothing_is_written_to_standard_error() -> None:
    code = (
        "import sys\n"
        "from skimage.data import astronaut\n"
        "from kouxing.face.track import FaceTracker, mesh\n"
        "tracker = FaceTracker()\n"
        "assert tracker.push(astronaut()).found and not tracker.push(astronaut() * 0).found\n"
        "tracker.close()\n"
        "assert len(mesh(astronaut())) == 1\n"
        "print('still here', file=sys.stderr)\n"
    )
    place = {**os.environ, "PYTHONPATH": str(Path(kouxing.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=place)
    assert done.stderr == "still here\n"
    assert done.stdout == ""


REAL = ("lipnet-lbax4n-fab7", "audiovisualspe-video-072c", "talkvid-kr-8c44", "celeb-zyvfid578-8-0-13")


@needs_shared
@pytest.mark.parametrize("clip", REAL)
def test_real_footage_agrees_with_its_tracks(clip: str) -> None:
    with (SHARED / "data" / "manifest.csv").open() as file:
        assert clip in {row["id"] for row in csv.DictReader(file)}
    reader = cv2.VideoCapture(str(SHARED / "data" / "clips" / f"{clip}.mp4"))
    scenes: list[Bytes] = []
    while len(scenes) < 60:
        more, image = reader.read()
        if not more:
            break
        scenes.append(np.ascontiguousarray(image[..., ::-1]))
    track = follow(scenes)
    with np.load(SHARED / "data" / "tracks" / f"{clip}.npz") as known:
        lips, anchors = (known[name][: len(track)].astype(np.float64) for name in ("lips", "anchors"))
    width = np.linalg.norm(anchors[:, 6] - anchors[:, 7], axis=-1)
    assert track.found.all() and not track.cut.any()
    assert (np.linalg.norm(track.lips - lips, axis=-1).mean(1) / width).mean() < 0.016
    gaps = [np.linalg.norm(p[:, GAP_LOWER] - p[:, GAP_UPPER], axis=-1) / width for p in (lips, track.lips)]
    assert np.corrcoef(*gaps)[0, 1] > 0.85
    # A gain below one would be a damped mouth.
    assert np.polyfit(*gaps, 1)[0] > 0.8
