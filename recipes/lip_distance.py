"""Fit the weights of the lip distance d (``kouxing.face.closure``): recipes/lip_distance.py DATA

Non-negative least squares of the tracked inner-lip gap (our tracker, face widths) on the coefficients of the stored
tracks, both centred per clip, on the train split. jawOpen - mouthClose has weight 1 by definition; printed are the
other weights, the units of d per face width, and how well they fit.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from kouxing.arkit import PLACE
from kouxing.data.animate import _shifted, _stored_coefficients, lateness
from kouxing.data.footage import load_footage

TERMS = {
    "jawOpen - mouthClose": ({"jawOpen": 1, "mouthClose": -1}),
    "mouthUpperUp": {"mouthUpperUpLeft": 1, "mouthUpperUpRight": 1},
    "mouthLowerDown": {"mouthLowerDownLeft": 1, "mouthLowerDownRight": 1},
    "mouthPress": {"mouthPressLeft": -1, "mouthPressRight": -1},
    "mouthRollLower": {"mouthRollLower": -1},
    "mouthRollUpper": {"mouthRollUpper": -1},
    "mouthShrugLower": {"mouthShrugLower": -1},
    "mouthShrugUpper": {"mouthShrugUpper": -1},
}


def main(data: Path) -> None:
    rows, gaps, widest = [], [], []
    for clip in load_footage(data, "train"):
        stored = _stored_coefficients(data, clip.clip)
        if stored is None:
            continue
        values, gap, seen = stored
        count = min(len(clip), len(values))
        found, own = clip.found[:count] & seen[:count], clip.aperture[:count]
        if found.sum() < 20:
            continue
        values = _shifted(np.nan_to_num(values[:count]), lateness(gap[:count], own, found))
        terms = [sum(sign * values[:, PLACE[name]] for name, sign in term.items()) for term in TERMS.values()]
        columns, free = np.stack(terms, 1)[found], np.maximum(own - np.percentile(own[found], 3), 0)[found]
        rows.append(columns - columns.mean(0))
        gaps.append(free - free.mean())
        widest.append(np.percentile(free, 95))
    known, wanted = np.concatenate(rows), np.concatenate(gaps)
    weights, _ = nnls(known, wanted)
    print(f"d per face width: {1 / weights[0]:.2f}; pooled r {np.corrcoef(known @ weights, wanted)[0, 1]:.2f}")
    print(f"typical 95th percentile of the gap: {np.median(widest):.3f} face widths")
    for name, weight in zip(TERMS, weights, strict=True):
        print(f"{name}: {weight / weights[0]:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
