"""A fake world of two people: scikit-image's astronaut, and somebody else made of her."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
from skimage.data import astronaut

from kouxing.media.colour import planes_from_rgb
from kouxing.types import Bytes, Colour, Float, VideoFrame

WIDTH, HEIGHT = 640, 360
RATE_HZ = 25
SD = Colour("yuv420p", "bt601", False)

_FACE = (90, 10, 360, 280)
"""x0, y0, x1, y1 of head and shoulders in the astronaut picture."""


def anna() -> Bytes:
    """Head and shoulders ``[270, 270, 3]``; the face is about 100 pixels wide."""
    x0, y0, x1, y1 = _FACE
    return np.ascontiguousarray(astronaut()[y0:y1, x0:x1])


def bert() -> Bytes:
    """The same shape, told apart by darker skin, a light cap and mirrored light."""
    other = cv2.cvtColor(np.ascontiguousarray(anna()[:, ::-1]), cv2.COLOR_RGB2LAB).astype(np.float32)
    other[..., 0] = 30 + 0.55 * other[..., 0]
    other[..., 1] += 8
    other[..., 2] += 16
    image = cv2.cvtColor(np.clip(other, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    cv2.ellipse(image, (135, 35), (75, 42), 0, 180, 360, (235, 240, 150), -1)
    cv2.rectangle(image, (40, 120), (78, 240), (230, 230, 140), -1)
    cv2.rectangle(image, (195, 120), (240, 240), (230, 230, 140), -1)
    return image


def wall(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Bytes:
    """A soft random background without faces."""
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 7))


def put(scene: Bytes, person: Bytes, x: float, y: float, zoom: float = 1.0, turn_deg: float = 0.0) -> Float:
    """Draw a person into ``scene`` around (x, y); returns the ``[2, 3]`` transform from the person's picture."""
    side = person.shape[0]
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn_deg, zoom)
    matrix[:, 2] += (x - side / 2, y - side / 2)
    share = np.zeros((side, side), np.float32)
    cv2.ellipse(share, (side // 2, side // 2), (int(side * 0.4), int(side * 0.47)), 0, 0, 360, 1.0, -1)
    size = (scene.shape[1], scene.shape[0])
    alpha = cv2.warpAffine(cv2.GaussianBlur(share, (0, 0), 3), matrix, size)[..., None]
    drawn = cv2.warpAffine(person, matrix, size)
    scene[:] = np.rint(scene * (1 - alpha) + drawn * alpha).astype(np.uint8)
    return np.asarray(matrix, np.float32)


def frame_of(image: Bytes, pts: int = 0, colour: Colour = SD) -> VideoFrame:
    """An RGB picture as a video frame."""
    return VideoFrame(planes_from_rgb(image, colour), pts, Fraction(1, RATE_HZ), colour)
