"""MediaPipe's own coefficients, for users who have its ``face_landmarker.task``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.errors import OptionError
from kouxing.face.graphs import check_process, quiet
from kouxing.face.picture import Picture
from kouxing.face.square import around_mesh
from kouxing.types import Float

VARIABLE = "KOUXING_LANDMARKER"
"""Environment variable with the file's path."""

SPAN = 1.25
"""Side of what it is shown, in sides of the square that the mesh network reads."""
SHOWN_PX = 384
NEUTRAL = "_neutral"


def chosen(option: Path | None) -> Path | None:
    """The file to use: the option, else the environment's, else none."""
    named = os.environ.get(VARIABLE, "").strip()
    return option if option is not None else Path(named) if named else None


class Landmarker:
    """Coefficients of a face that is already found. Usable as a context manager.

    Each picture is read alone: MediaPipe's own following smooths, and so lags by about 0.4 frames.

    Args:
        path: ``face_landmarker.task``.

    Raises:
        OptionError: not there, or not such a file.
    """

    def __init__(self, path: Path) -> None:
        # Not Path's own: that one fails in folders that may not be entered.
        if not os.path.isfile(path):
            raise OptionError(
                f"--landmarker (or {VARIABLE}) {path}: no such file; give MediaPipe's face_landmarker.task or leave it "
                "out"
            )
        check_process()
        with quiet():
            from mediapipe.tasks.python.core.base_options import BaseOptions
            from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions

            try:
                content = path.read_bytes()
                options = FaceLandmarkerOptions(
                    base_options=BaseOptions(model_asset_buffer=content), output_face_blendshapes=True
                )
                self._network: Any = FaceLandmarker.create_from_options(options)
            except (OSError, ValueError, RuntimeError) as error:
                raise OptionError(
                    f"--landmarker {path}: is not MediaPipe's face_landmarker.task; give that file or leave it out"
                ) from error
            self._read(np.zeros((SHOWN_PX, SHOWN_PX, 3), np.uint8))

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks."""
        if self._network is not None:
            self._network.close()
            self._network = None

    def values(self, picture: Picture, points: Float) -> Float | None:
        """Coefficients of the face at ``points`` ``[478, 2 or 3]`` in picture pixels.

        Returns:
            ``[52] float32``, 0..1, or None where MediaPipe sees no face there.
        """
        square = around_mesh(points[:, :2])
        half = SPAN * square.side / 2
        box = tuple(round(v) for v in (square.x - half, square.y - half, square.x + half, square.y + half))
        image, corner, ratio = picture.part((box[0], box[1], box[2], box[3]), max(int(2 * half / SHOWN_PX), 1))
        if image.size == 0:
            return None
        # A still square whatever the picture's edge cuts off, or the face would seem to change its place.
        scale = SHOWN_PX / (2 * half)
        onto = np.array(
            [[scale * ratio[0], 0, scale * (corner[0] - box[0])], [0, scale * ratio[1], scale * (corner[1] - box[1])]]
        )
        onto[:, 2] += 0.5 * onto[:, :2].sum(1) - 0.5
        shown = cv2.warpAffine(image, onto, (SHOWN_PX, SHOWN_PX), flags=cv2.INTER_LINEAR)
        return self._read(np.asarray(shown, np.uint8))

    def _read(self, image: Any) -> Float | None:
        from mediapipe import Image, ImageFormat

        found = self._network.detect(Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image)))
        if not found.face_blendshapes:
            return None
        values = np.zeros(len(COEFFICIENTS), np.float32)
        for category in found.face_blendshapes[0]:
            if category.category_name != NEUTRAL:
                values[PLACE[category.category_name]] = min(max(category.score, 0.0), 1.0)
        return values
