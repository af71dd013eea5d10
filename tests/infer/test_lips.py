"""The painter in use."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from kouxing.infer.lips import LipsNetwork
from kouxing.infer.references import References

ANCHORS = np.array(
    [[79, 70], [103, 70], [153, 70], [177, 70], [128, 122], [128, 230], [40, 110], [216, 110]], np.float32
)


@pytest.mark.parametrize("grey", [True, False])
def test_black_and_white_footage_stays_black_and_white(grey: bool) -> None:
    rng = np.random.default_rng(0)
    crops = cv2.resize(rng.integers(60, 180, (16, 16, 9), np.uint8), (256, 256), interpolation=cv2.INTER_CUBIC)
    faces = np.stack(np.split(crops, 3, -1))
    if grey:
        # Chroma is coded apart, and rounded.
        faces = np.stack([faces[..., 1]] * 3, -1) + rng.integers(0, 3, faces.shape, np.uint8) // 2
    lips = LipsNetwork("fast")
    anchors = np.stack([ANCHORS] * 3)
    lips.set_references(References(faces, np.zeros((3, 16), np.float32), anchors))
    painted = lips.paint(faces[0], ANCHORS, np.zeros((11, 16), np.float32))
    assert (np.ptp(painted[128:], axis=-1) == 0).all() is np.bool_(grey)


def test_a_frame_in_the_dark_is_painted_in_the_dark() -> None:
    rng = np.random.default_rng(0)
    face = cv2.resize(rng.integers(90, 200, (16, 16, 3), np.uint8), (256, 256), interpolation=cv2.INTER_CUBIC)
    lips = LipsNetwork("fast")
    lips.set_references(References(np.stack([face] * 3), np.zeros((3, 16), np.float32), np.stack([ANCHORS] * 3)))
    features = np.zeros((11, 16), np.float32)
    bright, dark = (lips.paint(shown, ANCHORS, features) for shown in (face, (face * 0.4).astype(np.uint8)))
    lower = [image[128:].astype(np.float32).mean((0, 1)) for image in (bright, dark)]
    np.testing.assert_allclose(lower[1], 0.4 * lower[0], rtol=0.06)
    assert (dark[:128] == (face * 0.4).astype(np.uint8)[:128]).all()
