"""Simple real pieces in place of trained ones: a tracker that knows where the face is, a network that paints flatly.

Footage for them is any picture; a black one shows no face.
"""

from fractions import Fraction

import cv2
import numpy as np

from kouxing.face.crop import apply, invert
from kouxing.face.track import Observation
from kouxing.infer.parts import Parts
from kouxing.infer.references import References
from kouxing.media.colour import blend_rgb
from kouxing.types import VideoFrame
from kouxing.units import CROP_PX, HALF_PX, SAMPLES_PER_FRAME

FACE_PX = 80
"""Side of the square that the crop covers in the frame."""


def lips(opening_px: float) -> np.ndarray:
    """[40, 2] in crop pixels, order as in ``landmarks.LIP_POINTS``."""
    turn = np.pi * np.arange(20) / 10
    outer = np.stack([128 - 34 * np.cos(turn), 170 + (12 + opening_px / 2) * np.sin(turn)], 1)
    inner = np.stack([128 - 28 * np.cos(turn), 170 + (0.5 + opening_px / 2) * np.sin(turn)], 1)
    return np.concatenate([outer, inner]).astype(np.float32)


def face(opening_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lips, anchors, jaw in crop pixels."""
    anchors = np.array(
        [[79, 70], [103, 70], [153, 70], [177, 70], [128, 122], [128, 230], [40, 110], [216, 110]], np.float32
    )
    turn = np.linspace(0, np.pi, 21)
    jaw = np.stack([128 - 88 * np.cos(turn), 110 + 120 * np.sin(turn)], 1).astype(np.float32)
    return lips(opening_px), anchors, jaw


class FixedTracker:
    """The face stands in the middle and sways; black pictures show none. Its memory matters: it counts."""

    def __init__(self, follow: int = 0) -> None:
        self.follow = follow
        self.count = 0

    def push(self, image: VideoFrame) -> Observation:
        number, self.count = self.count, self.count + 1
        if float(np.mean(image.planes[0])) < 20 or self.follow > 0:
            blank = [np.full((rows, 2), np.nan, np.float32) for rows in (40, 8, 21)]
            return Observation(False, False, *blank)
        scale = CROP_PX / FACE_PX
        middle = np.array([image.width / 2 + 3 * np.sin(number / 5), image.height / 2])
        shift = CROP_PX / 2 - scale * middle
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
        points = [apply(invert(matrix), part) for part in face(8 * (1 + np.sin(number / 3)))]
        return Observation(True, False, *points)

    def track(self) -> None:
        """Not asked for."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to free."""

    def state(self) -> dict[str, np.ndarray]:
        return {"count": np.array(self.count)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self.count = int(state["count"])


class Loudness:
    """A speech encoder of one line: the root mean square of each video frame, in 16 columns."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)

    def push(self, samples: np.ndarray) -> np.ndarray:
        held = np.concatenate([self._rest, samples])
        count = len(held) // SAMPLES_PER_FRAME
        self._rest = held[count * SAMPLES_PER_FRAME :]
        frames = held[: count * SAMPLES_PER_FRAME].reshape(count, SAMPLES_PER_FRAME)
        return np.repeat(np.sqrt((frames**2).mean(1))[:, None] + 0.1, 16, 1).astype(np.float32)

    def finish(self) -> np.ndarray:
        return np.full((1 if len(self._rest) else 0, 16), 0.5, np.float32)


class FlatLips:
    """Paints a box over the mouth, its colour told by the features, the mouth coefficient and the references."""

    def __init__(self, preset: str = "fast") -> None:
        self.preset = preset
        self.windows: list[np.ndarray] = []

    def set_references(self, references: References) -> None:
        assert references.crops.shape == (3, CROP_PX, CROP_PX, 3) and references.crops.dtype == np.uint8
        assert references.geometry.shape == (3, 16) and np.isfinite(references.geometry).all()
        assert references.anchors.shape == (3, 8, 2) and 0 < references.anchors.mean() < CROP_PX
        self.tone = int(references.crops.mean())

    def paint(self, crop: np.ndarray, anchors: np.ndarray, features: np.ndarray, mouth: float) -> np.ndarray:
        assert crop.shape == (CROP_PX, CROP_PX, 3) and features.shape == (11, 16)
        assert anchors.shape == (8, 2) and 0 < anchors.mean() < CROP_PX
        self.windows.append(features)
        made = crop.copy()
        made[HALF_PX + 10 :, 40:216] = np.clip([400 * mouth * features[5, 0], self.tone, 40], 0, 255)
        return made


def paste(frame, image, matrix, jaw, lips, state) -> VideoFrame:
    """The box of ``FlatLips``, hard-edged; ``state`` counts the frames of a shot and tints them."""
    tint = state.follow(np.full((3, 3), float(image[HALF_PX + 20, 128, 0]), np.float32))
    image = np.clip(image.astype(np.int32) + int(tint[0, 0]) // 8, 0, 255).astype(np.uint8)
    box = (0, 0, frame.width, frame.height)
    size = (frame.width, frame.height)
    alpha = np.zeros((CROP_PX, CROP_PX), np.float32)
    alpha[HALF_PX + 10 :, 40:216] = 1
    way = cv2.WARP_INVERSE_MAP
    back = cv2.warpAffine(image, matrix, size, flags=way | cv2.INTER_NEAREST)
    return blend_rgb(frame, box, back, cv2.warpAffine(alpha, matrix, size, flags=way | cv2.INTER_NEAREST))


def fake_parts(**changed) -> Parts:
    """All of them."""
    made = {
        "tracker": FixedTracker,
        "speech": Loudness,
        "lips": FlatLips,
        "paste": paste,
        "identity": lambda preset: {"weights": f"fake {preset}"},
    }
    return Parts(**{**made, **changed})


def black_between(size: tuple[int, int], first: int, last: int):
    """Stripes, but black (no face) from frame ``first`` to ``last - 1``."""
    from fake_media import stripes

    shown = stripes(size)
    return lambda number: np.zeros((size[1], size[0], 3), np.uint8) if first <= number < last else shown(number)


SHORT = Fraction(2, 5)
"""Length of segments in tests."""
