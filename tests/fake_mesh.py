"""Meshes made by code: a symmetric head whose lower lip and jaw move, with coefficients that say so, late or not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from fake_data import COLUMNS
from kouxing.arkit import MEDIAPIPE
from kouxing.face.coefficients import POINTS
from kouxing.face.frontal import STEADY
from kouxing.face.landmarks import ANCHOR_POINTS, INNER_LIP, LIP_POINTS
from kouxing.units import FRAME_HZ

GAP_SCALE = 20.0
"""Pixels of gap at opening 1."""

_MIDDLE = (0, 1, 4, 5, 6, 8, 9, 10, 13, 14, 17, 151, 152, 168, 195, 197, 7)
_PAIRS = ((33, 263), (133, 362), (234, 454), (109, 338), (67, 297), (103, 332), (54, 284), (21, 251), (162, 389),
          (127, 356), (78, 308), (61, 291))  # fmt: skip


def _symmetric() -> np.ndarray:
    rng = np.random.default_rng(7)
    points = np.zeros((478, 3))
    named = {*_MIDDLE, *(n for pair in _PAIRS for n in pair)}
    pairs, single = [*_PAIRS], [*_MIDDLE]
    # Both of a pair are read by the network, or neither is.
    for kind in (set(POINTS), set(range(478)) - set(POINTS)):
        rest = sorted(kind - named)
        pairs += zip(rest[0::2], rest[1::2], strict=False)
        single += rest[len(rest) // 2 * 2 :]
    for right, left in pairs:
        x, y, z = rng.uniform(3, 60), rng.uniform(-80, 80), rng.uniform(-25, 25)
        points[right], points[left] = (-x, y, z), (x, y, z)
    for n in single:
        points[n] = 0, rng.uniform(-80, 80), rng.uniform(-40, 0)
    points[[33, 263]], points[[133, 362]] = [(-45, -30, 0), (45, -30, 0)], [(-15, -30, 0), (15, -30, 0)]
    points[[234, 454]] = [(-70, 0, 30), (70, 0, 30)]
    points[[13, 14]] = [(0, 40, -20), (0, 41, -20)]
    return points.astype(np.float32)


SYMMETRIC = _symmetric()


LOWER = [n for n in range(478) if SYMMETRIC[n, 1] >= SYMMETRIC[14, 1] and n not in STEADY]
"""Lower lip and all below it but what stands still in faces."""


def moving(frames: int, seed: int, moves: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """``[T, 478, 3]`` clip pixels of a nodding head, and its opening ``[T]``, 0..1."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)
    opening = 0.5 + 0.5 * np.sin(time * rng.uniform(0.4, 0.7)) if moves else np.full(frames, 0.2)
    mesh = np.repeat(SYMMETRIC[None], frames, 0).astype(np.float64)
    mesh[:, LOWER, 1] += GAP_SCALE * opening[:, None]
    angle = 0.1 * np.sin(time * 0.1)
    x, z = mesh[..., 0].copy(), mesh[..., 2].copy()
    mesh[..., 0] = np.cos(angle)[:, None] * x - np.sin(angle)[:, None] * z
    mesh[..., 2] = np.sin(angle)[:, None] * x + np.cos(angle)[:, None] * z
    return (mesh + np.array([120, 120, 0])).astype(np.float32), opening


def make_mesh_data(folder: Path, lag: float = 0.5, moves: bool = True, frames: int = 60) -> tuple[Path, Path]:
    """A data set without clips: manifest, tracks that are ``lag`` frames late, and meshes that are not.

    Returns:
        The data folder and the folder of meshes.
    """
    data, meshes = folder / "set", folder / "meshes"
    (data / "tracks").mkdir(parents=True)
    meshes.mkdir()
    rows = []
    for number, split in enumerate(("train", "train", "train", "val", "test")):
        mesh, opening = moving(frames, number, moves)
        late = np.arange(frames) - lag
        seen = np.stack([np.interp(late, np.arange(frames), column) for column in mesh.reshape(frames, -1).T], 1)
        seen = seen.reshape(mesh.shape)
        values = np.zeros((frames, len(MEDIAPIPE)), np.float32)
        values[:, MEDIAPIPE.index("jawOpen")] = 0.6 * np.interp(late, np.arange(frames), opening)
        found = np.ones(frames, bool)
        mesh[30] = np.nan
        name = f"clip-{number}"
        np.save(meshes / f"{name}.npy", mesh.astype(np.float16))
        np.savez(
            data / "tracks" / f"{name}.npz",
            blendshapes=values.astype(np.float16),
            lips=seen[:, list(LIP_POINTS), :2].astype(np.float16),
            anchors=seen[:, list(ANCHOR_POINTS), :2].astype(np.float16),
            found=found,
        )
        rows.append((name, split, f"speaker-{number}", "en", frames / FRAME_HZ, 240, 140, "open", "made", "code"))
    with (data / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    assert 14 in INNER_LIP
    return data, meshes
