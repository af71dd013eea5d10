"""Head pose is taken out, and told."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.face.frontal import STEADY, average, frontal, head_angles, unit
from kouxing.types import Float

KEPT = (13, 14, 152, 1)


def shape(seed: int = 0) -> Float:
    """A made-up face: x right, y down, z away; eyes level and apart."""
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 30, (478, 3)) * (1, 1.2, 0.4)
    points[[33, 133]] = [(-45, 0, 0), (-15, 0, 0)]
    points[[362, 263]] = [(15, 0, 0), (45, 0, 0)]
    return points.astype(np.float32)


def turned(points: Float, yaw: float = 0, pitch: float = 0, roll: float = 0) -> Float:
    """As the camera sees a head that turns to its right, nods down, tilts to its right shoulder (x right, y down)."""

    def about(axis: int, angle: float) -> np.ndarray:
        a, b = [i for i in range(3) if i != axis]
        matrix = np.eye(3)
        matrix[a, a] = matrix[b, b] = np.cos(angle)
        matrix[a, b], matrix[b, a] = -np.sin(angle), np.sin(angle)
        return matrix

    # Right: the front (-z) goes to -x. Down: the front goes to +y. Right shoulder: the top (-y) goes to -x.
    return points @ (about(1, -yaw) @ about(0, pitch) @ about(2, -roll)).T


def test_place_size_and_turn_do_not_matter() -> None:
    face = shape()
    reference = unit(face[list(STEADY)])
    seen = np.stack([face, turned(face, 0.4, -0.3, 0.5) * 2.7 + (300, -40, 12), turned(face, -0.6) * 0.3])
    flat, _ = frontal(seen, reference, KEPT)
    np.testing.assert_allclose(flat[1], flat[0], atol=1e-4)
    np.testing.assert_allclose(flat[2], flat[0], atol=1e-4)
    eyes = frontal(seen, reference, (33, 133, 362, 263))[0][1]
    assert np.linalg.norm(eyes[2:].mean(0) - eyes[:2].mean(0)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("name", "place"), [("yaw", 0), ("pitch", 1), ("roll", 2)])
def test_angles_have_the_stated_signs(name: str, place: int) -> None:
    face = shape()
    angles = np.linspace(-0.5, 0.5, 5)
    seen = np.stack([turned(face, **{name: angle}) for angle in angles])
    told = head_angles(frontal(seen, unit(face[list(STEADY)]), KEPT)[1])
    np.testing.assert_allclose(told[:, place], angles, atol=1e-3)
    np.testing.assert_allclose(np.delete(told, place, 1), 0, atol=1e-3)


def test_front_means_what_the_words_say() -> None:
    face = shape()
    face[1] = (0, 10, -60)
    nose = turned(face, yaw=0.3)[1]
    assert nose[0] < 0, "the nose goes to the viewer's left when the head turns to its right"
    assert turned(face, pitch=0.3)[1][1] > face[1][1]
    above = np.array([[0, -50, 0]])
    assert turned(above, roll=0.3)[0][0] < 0


def test_the_average_of_one_face_in_many_places_is_that_face() -> None:
    face = shape()
    rng = np.random.default_rng(1)
    seen = [turned(face, *rng.normal(0, 0.2, 3)) * rng.uniform(0.5, 2) + rng.normal(0, 50, 3) for _ in range(6)]
    mean = average(np.stack(seen)[:, list(STEADY)])
    flat, _ = frontal(np.stack(seen), mean, KEPT)
    np.testing.assert_allclose(flat, flat[:1].repeat(6, 0), atol=1e-3)


def test_no_mirrored_faces() -> None:
    face = shape()
    mirrored = face * np.array([-1, 1, 1], np.float32)
    _, rotation = frontal(mirrored[None], unit(face[list(STEADY)]), KEPT)
    assert np.linalg.det(rotation[0]) == pytest.approx(1, abs=1e-4)
    with pytest.raises(ValueError, match="points"):
        frontal(face[None, :, :2], unit(face[list(STEADY)]), KEPT)
