"""The followed face's whole mesh with depth, for what needs more than lips, anchors and jaw."""

from __future__ import annotations

import numpy as np

from kouxing.face.picture import Picture
from kouxing.face.track import FaceTracker, Observation
from kouxing.types import Bytes, Float, VideoFrame


class MeshTracker(FaceTracker):
    """A ``FaceTracker`` that also tells all points of the last picture.

    Attributes:
        points: ``[478, 3] float32`` in frame pixels: x right, y down, z in the same unit, smaller is nearer; None where
            the face was not seen.
    """

    points: Float | None = None

    def __enter__(self) -> MeshTracker:
        return self

    def push(self, image: Bytes | VideoFrame) -> Observation:
        """As ``FaceTracker.push``."""
        self.points = None
        return super().push(image)

    def _face(self, picture: Picture, now: int) -> Float | None:
        flat = super()._face(picture, now)
        self.points = None if flat is None else with_depth(flat, self._reader.solid)
        return flat


def with_depth(flat: Float, solid: Float | None) -> Float:
    """Give points in the frame the depth that the network told with them.

    Args:
        flat: ``[478, 2]`` in frame pixels. solid: ``[478, 3]`` of the same face in the network's picture.

    Returns:
        ``[478, 3] float32`` in frame pixels.

    Raises:
        ValueError: the two are not one shape in two places.
    """
    if solid is None:
        raise ValueError("the network has not seen a face")
    z, w = _complex(solid[:, :2]), _complex(flat)
    factor = (w * z.conj()).sum() / max((np.abs(z) ** 2).sum(), 1e-9)
    scale = abs(factor)
    if np.abs(w - factor * z).max() > 1e-3 * scale * np.abs(z).max() + 0.05:
        raise ValueError("points of the frame and of the network's picture are of different faces")
    return np.column_stack([flat, solid[:, 2] * scale]).astype(np.float32)


def _complex(points: Float) -> np.ndarray:
    """``[P]`` complex, around the mean."""
    values = points[:, 0].astype(np.float64) + 1j * points[:, 1]
    return np.asarray(values - values.mean())
