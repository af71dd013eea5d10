"""Mouth geometry: pose taken out, closed is 0, opening survives the 16 components."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.face import geometry
from kouxing.types import LIPS


def mouth(gap: float, width: float = 60.0) -> np.ndarray:
    """A drawn mouth: two rings of 20 points, inner-lip gap ``gap`` in pixels."""
    points = np.zeros((LIPS, 2), np.float32)
    for k in range(20):
        across = -np.cos(np.pi * min(k, 20 - k) / 10)
        bend = np.sin(np.pi * min(k, 20 - k) / 10)
        side = 1 if k <= 10 else -1
        points[k] = across * width / 2, side * bend * (gap / 2 + 8)
        points[20 + k] = across * width * 0.42, side * bend * gap / 2
    return points


def turned(points: np.ndarray, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points @ turn.T + shift).astype(np.float32)


def test_position_and_roll_do_not_count() -> None:
    upright = geometry.align(mouth(8)[None])
    moved = geometry.align(turned(mouth(8), 20, (130, 170))[None])
    np.testing.assert_allclose(upright, moved, atol=1e-3)


def test_rest_is_closed_even_if_the_clip_never_closes() -> None:
    clip = np.stack([mouth(gap) for gap in np.linspace(6, 20, 30)])
    assert geometry.gap(geometry.rest(clip)) <= geometry.CLOSED_GAP_PX + 1e-3


def test_rest_of_a_clip_that_closes_is_its_closed_mouth() -> None:
    clip = np.stack([mouth(0.5)] * 10 + [mouth(12)] * 20)
    np.testing.assert_allclose(geometry.rest(clip), mouth(0.5), atol=1e-3)


def test_rest_ignores_missing_frames_and_needs_one() -> None:
    clip = np.stack([mouth(0.5), np.full((LIPS, 2), np.nan, np.float32)])
    assert np.isfinite(geometry.rest(clip)).all()
    with pytest.raises(ValueError, match="finite"):
        geometry.rest(clip[1:])


def test_opening_survives_the_components() -> None:
    gaps = np.linspace(0.5, 18, 20)
    clip = np.stack([mouth(gap) for gap in gaps])
    opening = geometry.opening(geometry.from_lips(clip, geometry.rest(clip)))
    assert np.corrcoef(opening, gaps)[0, 1] > 0.999
    # Features are linear: the opening coefficient scales what is seen.
    np.testing.assert_allclose(
        geometry.opening(2 * geometry.from_lips(clip, geometry.rest(clip))), 2 * opening, atol=1e-3
    )


def test_the_shipped_basis_is_orthonormal() -> None:
    components, scale = geometry.basis()
    np.testing.assert_allclose(components.T @ components, np.eye(geometry.GEOMETRY), atol=1e-5)
    assert (np.diff(scale) <= 0).all() and scale[-1] > 0


def test_basis_fit_finds_planted_directions() -> None:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(2, LIPS * 2))
    data = (rng.normal(size=(500, 2)) * [5, 2]) @ direction + rng.normal(0, 0.01, (500, LIPS * 2))
    components, _ = geometry.fit_basis(data.reshape(500, LIPS, 2))
    kept = direction @ components[:, :2] @ components[:, :2].T
    np.testing.assert_allclose(kept, direction, atol=0.05)
