"""Fits src/kouxing/face/lip_basis.npz: principal components of lip displacement over the training footage's tracks."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from kouxing.data.manifest import read_manifest
from kouxing.data.tracks import read_track
from kouxing.face import geometry
from kouxing.face.crop import apply, crop_matrices
from kouxing.units import FRAME_HZ


def main(data: Path) -> None:
    rng = np.random.default_rng(0)
    moved = []
    for clip in read_manifest(data, "train"):
        track = read_track(data, clip)
        if track.found.sum() < FRAME_HZ:
            continue
        lips = apply(crop_matrices(track.anchors, track.found, track.cut, FRAME_HZ), track.lips)[track.found]
        shift = geometry.align(lips) - geometry.rest(lips)
        # Equal weight per speaker group: no more than a second of each clip.
        moved.append(shift[rng.permutation(len(shift))[:FRAME_HZ]])
    components, scale = geometry.fit_basis(np.concatenate(moved))
    np.savez(geometry.BASIS, components=components, scale=scale)
    print(f"{sum(map(len, moved))} shapes of {len(moved)} clips -> {geometry.BASIS}; scale px {np.round(scale, 2)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
