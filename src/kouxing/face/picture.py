"""One picture as the tracker looks at it: small as a whole, or a part of it; nothing is converted that nobody reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kouxing.types import Bytes, Float, VideoFrame

Box = tuple[int, int, int, int]


def _shrunk(plane: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    if (plane.shape[1], plane.shape[0]) == (width, height):
        return plane
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA))


class Picture:
    """An RGB image or a video frame behind one face.

    Args:
        source: ``[H, W, 3] uint8`` RGB, or a frame with its planes; left as it is.
    """

    def __init__(self, source: Bytes | VideoFrame) -> None:
        if isinstance(source, np.ndarray) and (source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8):
            raise ValueError(f"image must be [H, W, 3] uint8, got {source.shape} {source.dtype}")
        self.source = source
        self._kept: dict[tuple[int, int], Bytes] = {}
        self.height, self.width = source.shape[:2] if isinstance(source, np.ndarray) else (source.height, source.width)

    def whole(self, longest_px: int) -> tuple[Bytes, Float]:
        """All of the picture, its longer side at most ``longest_px``.

        Returns:
            The RGB image and ``[2] float32``: picture pixels per image pixel in x and y.
        """
        factor = min(longest_px / max(self.width, self.height), 1.0)
        width, height = max(round(self.width * factor), 1), max(round(self.height * factor), 1)
        if (width, height) not in self._kept:
            self._kept[width, height] = self._scaled((0, 0, self.width, self.height), width, height)
        image = self._kept[width, height]
        ratio = (self.width / image.shape[1], self.height / image.shape[0])
        return image, np.array(ratio, np.float32)

    def part(self, box: Box, shrink: int = 1) -> tuple[Bytes, Float, Float]:
        """The part in ``box`` (x0, y0, x1, y1; cut at the picture's edge), at 1 / ``shrink`` of its size.

        Returns:
            The RGB image, ``[2] float32`` its corner in picture pixels, ``[2] float32`` picture pixels per image pixel.
            The image is empty where the box lies outside.
        """
        grid, sides = 2 * shrink, (self.width, self.height)
        x0, y0 = (min(max(v, 0), limit) // grid * grid for v, limit in zip(box[:2], sides, strict=True))
        x1, y1 = (min(-(-max(v, 0) // grid) * grid, end) for v, end in zip(box[2:], sides, strict=True))
        if x1 <= x0 or y1 <= y0:
            return np.zeros((0, 0, 3), np.uint8), np.zeros(2, np.float32), np.ones(2, np.float32)
        width, height = max((x1 - x0) // shrink, 1), max((y1 - y0) // shrink, 1)
        image = self._scaled((x0, y0, x1, y1), width, height)
        ratio = ((x1 - x0) / image.shape[1], (y1 - y0) / image.shape[0])
        return image, np.array([x0, y0], np.float32), np.array(ratio, np.float32)

    def glimpse(self, width: int, height: int) -> Float:
        """``[height, width, 3] float32``, 0..1: brightness and two colour differences, for telling shots apart."""
        step = max(min(self.width // (4 * width), self.height // (4 * height)), 1)
        # Four by four samples for each of so few pixels are plenty, and far quicker than their whole area.
        if isinstance(self.source, np.ndarray):
            small = _shrunk(np.ascontiguousarray(self.source[::step, ::step]), width, height)
            return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2YUV), np.float32) / 255
        full = 255.0 if self.source.planes[0].dtype == np.uint8 else 1023.0
        views = []
        for plane in self.source.planes:
            finer = max(step * plane.shape[1] // self.width, 1)
            views.append(_shrunk(np.ascontiguousarray(plane[::finer, ::finer]), width, height))
        return np.stack(views, 2).astype(np.float32) / full

    def _scaled(self, box: Box, width: int, height: int) -> Bytes:
        x0, y0, x1, y1 = box
        if isinstance(self.source, np.ndarray):
            return np.ascontiguousarray(_shrunk(self.source[y0:y1, x0:x1], width, height))
        from kouxing.media.colour import to_rgb

        frame = self.source
        if (x1 - x0, y1 - y0) == (width, height):
            return to_rgb(frame, box)
        planes = [frame.planes[0][y0:y1, x0:x1]]
        sizes = [(width, height)]
        for plane in frame.planes[1:]:
            # A subsampled plane of an odd side has half of the next even number.
            across = 2 if plane.shape[1] < frame.width else 1
            down = 2 if plane.shape[0] < frame.height else 1
            planes.append(plane[y0 // down : -(-y1 // down), x0 // across : -(-x1 // across)])
            sizes.append((-(-width // across), -(-height // down)))
        small = [_shrunk(np.ascontiguousarray(p), *size) for p, size in zip(planes, sizes, strict=True)]
        return to_rgb(replace(frame, planes=(small[0], small[1], small[2])))
