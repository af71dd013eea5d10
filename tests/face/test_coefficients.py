"""Coefficients of a real picture, by our network and by MediaPipe's file where it is there."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from face.people import anna, put, wall
from kouxing.arkit import COEFFICIENTS, FROM_MEDIAPIPE, MEDIAPIPE, PLACE, mirrored
from kouxing.errors import OptionError, WeightError
from kouxing.face import landmarker
from kouxing.face.coefficients import Regressor, rotations
from kouxing.face.graphs import MESH_POINTS
from kouxing.face.landmarker import Landmarker, chosen
from kouxing.face.landmarks import LIP_POINTS
from kouxing.face.mesh import MeshTracker, with_depth
from kouxing.face.picture import Picture
from kouxing.types import Float
from shared import SHARED, needs_shared

TASK = SHARED / "models" / "face_landmarker.task"


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    image = wall()
    put(image, anna(), 320, 180)
    return image


@pytest.fixture(scope="module")
def points(scene: np.ndarray) -> Float:
    with MeshTracker() as tracker:
        tracker.push(scene)
    assert tracker.points is not None
    return tracker.points


def test_names() -> None:
    assert len(set(COEFFICIENTS)) == 52 and len(MEDIAPIPE) == 51 and MEDIAPIPE[0] == "browDownLeft"
    assert [COEFFICIENTS[place] for place in FROM_MEDIAPIPE] == list(MEDIAPIPE)
    assert mirrored("eyeLookInLeft") == "eyeLookInRight" and mirrored("jawOpen") == "jawOpen"
    assert mirrored("mouthRight") == "mouthLeft"


def test_the_mesh_is_the_trackers_with_depth(scene: np.ndarray) -> None:
    black = np.zeros_like(scene)
    with MeshTracker() as tracker:
        seen = tracker.push(scene)
        assert tracker.points is not None and tracker.points.shape == (MESH_POINTS, 3)
        np.testing.assert_array_equal(tracker.points[list(LIP_POINTS), :2], seen.lips)
        width = np.hypot(*(tracker.points[454, :2] - tracker.points[234, :2]))
        depth = tracker.points[[234, 454], 2].mean() - tracker.points[1, 2]
        assert 0.2 * width < depth < width, "the nose is nearer than the face's edges"
        tracker.push(black)
        assert tracker.points is None


def test_depth_of_another_face_is_refused(points: Float) -> None:
    np.testing.assert_allclose(with_depth(points[:, :2] * 2 + 7, points)[:, 2], points[:, 2] * 2, rtol=1e-4)
    with pytest.raises(ValueError):
        with_depth(points[::-1, :2], points)
    with pytest.raises(ValueError):
        with_depth(points[:, :2], None)


def test_a_smiling_face_smiles_however_the_picture_lies(scene: np.ndarray, points: Float) -> None:
    values, heads, gap = Regressor(threads=1).read(np.stack([points, points * 3 + 50]))
    assert values.shape == (2, 52) and values.min() >= 0 and values.max() <= 1
    np.testing.assert_allclose(values[1], values[0], atol=2e-3)
    assert values[0, PLACE["mouthSmileLeft"]] > 0.3 and values[0, PLACE["mouthSmileRight"]] > 0.3
    assert values[0, PLACE["eyeBlinkLeft"]] < 0.4 and values[0, PLACE["tongueOut"]] == 0
    assert np.abs(heads).max() < 0.6 and 0 <= gap[0] < 0.2
    tilted = wall()
    put(tilted, anna(), 320, 180, turn_deg=20)
    with MeshTracker() as tracker:
        tracker.push(tilted)
    assert tracker.points is not None
    turned, more, _ = Regressor(threads=1).read(tracker.points[None])
    assert np.degrees(more[0, 2] - heads[0, 2]) == pytest.approx(20, abs=4)
    assert np.abs(turned[0] - values[0]).mean() < 0.05
    with pytest.raises(ValueError):
        Regressor(threads=1).read(points[None, :, :2])


def test_eyes_turn_where_they_look() -> None:
    values = np.zeros((2, 52), np.float32)
    # Both to the person's right, and down.
    for name in ("eyeLookInLeft", "eyeLookOutRight", "eyeLookDownLeft", "eyeLookDownRight"):
        values[1, PLACE[name]] = 0.5
    made = rotations(values, np.zeros((2, 3), np.float32))
    assert not made[0].any() and not made[1, [0, 1, 2, 5, 8]].any()
    assert made[1, 3] == made[1, 6] > 0 and made[1, 4] == made[1, 7] > 0


def test_missing_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "coefficients.json").write_text("{}")
    monkeypatch.setenv("KOUXING_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightError):
        Regressor()


def test_a_file_that_is_no_landmarker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "x.task"
    wrong.write_bytes(b"PK\x03\x04 nothing of the kind")
    for path in (wrong, tmp_path / "none.task", tmp_path):
        with pytest.raises(OptionError) as caught:
            Landmarker(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setenv(landmarker.VARIABLE, str(wrong))
    assert chosen(None) == wrong and chosen(tmp_path) == tmp_path
    monkeypatch.delenv(landmarker.VARIABLE)
    assert chosen(None) is None


@needs_shared
def test_our_network_agrees_with_mediapipe(scene: np.ndarray, points: Float) -> None:
    with Landmarker(TASK) as reader:
        told = reader.values(Picture(scene), points)
        assert reader.values(Picture(wall()), points) is None
    assert told is not None and told[PLACE["mouthSmileLeft"]] > 0.3
    values, _, _ = Regressor(threads=1).read(points[None])
    assert np.abs(values[0] - told).mean() < 0.06


@needs_shared
@pytest.mark.parametrize("clip", ["talkvid-kr-8c44", "celeb-zyvfid578-8-0-13"])
def test_the_jaw_moves_as_mediapipe_saw_it(clip: str) -> None:
    reader = cv2.VideoCapture(str(SHARED / "data" / "clips" / f"{clip}.mp4"))
    rows: list[Float] = []
    with MeshTracker() as tracker:
        while len(rows) < 60:
            more, image = reader.read()
            if not more:
                break
            tracker.push(np.ascontiguousarray(image[..., ::-1]))
            assert tracker.points is not None
            rows.append(tracker.points)
    values, _, _ = Regressor(threads=1).read(np.stack(rows))
    with np.load(SHARED / "data" / "tracks" / f"{clip}.npz") as known:
        stored = known["blendshapes"].astype(np.float32)[: len(rows), MEDIAPIPE.index("jawOpen")]
    assert np.corrcoef(values[:-1, PLACE["jawOpen"]], (stored[:-1] + stored[1:]) / 2)[0, 1] > 0.7
