"""Samples for ``multimodal``'s face generator: those of ``lips``, with mouth features and one face without a mouth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kouxing.data.footage import Footage
from kouxing.data.lips import LipsSamples, mask, planes
from kouxing.data.references import REFERENCES, choose
from kouxing.face.no_mouth import no_mouth
from kouxing.face.stance import stance
from kouxing.types import Float
from kouxing.units import HALF_PX


class FaceSamples(LipsSamples):
    """Endless random batches, as ``LipsSamples`` gives them.

    Args:
        footage: prepared clips.
        mouths: clip id -> several ``[T, 3 * (D + 1)]`` (``models.multimodal_face.packed``): with other modalities, in
            other sounds.
        clips: clips per batch.
        run: S, frames in a row.
        seed: source of chance.
    """

    def __init__(
        self, footage: list[Footage], mouths: Mapping[str, Sequence[Float]], *, clips: int, run: int, seed: int
    ) -> None:
        self._mouths = mouths
        first = [mouths[clip.clip.id][0] for clip in footage]
        width = first[0].shape[1]
        super().__init__(footage, first, clips=clips, run=run, window=1, spacing=1, seed=seed, width=width)

    def _tracked(self, place: int, rng: np.random.Generator) -> Float:
        several = self._mouths[self._footage[place].clip.id]
        return several[int(rng.integers(len(several)))]

    def _sample(self, place: int, speaker: int | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        row = super()._sample(place, speaker, rng)
        shown = np.round(row["references"][0].transpose(1, 2, 0) * 255).astype(np.uint8)
        return row | {
            "references": planes(no_mouth(shown)[None]),
            "own": np.zeros((1, 0, row["audio"].shape[-1]), np.float32),
            "stances": row["stances"][:, :2],
            "places": row["places"][:, :1],
        }


def face_sample(clip: Footage, mouths: Float, frames: np.ndarray) -> dict[str, np.ndarray]:
    """Inputs for some frames of one clip: the first of the references that ``lips`` would take, without its mouth.

    Args:
        clip: the footage. mouths: ``[T, 3 * (D + 1)]``. frames: which frames.
    """
    middle = np.median(clip.pose[clip.found], 0)
    chosen = int(choose(clip.aperture, clip.pose, middle, clip.found, count=REFERENCES)[0])
    crops = [clip.crop(int(frame)) for frame in frames]
    return {
        "frame": planes(np.stack([mask(crop, HALF_PX) for crop in crops])),
        "real": planes(np.stack(crops)[:, HALF_PX:]),
        "references": planes(no_mouth(clip.crop(chosen))[None]),
        "audio": mouths[frames][:, None],
        "own": np.zeros((1, 0, mouths.shape[1]), np.float32),
        "stances": stance(clip.anchors[[[int(frame), chosen] for frame in frames]]),
    }
