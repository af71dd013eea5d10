"""Learns how the 478-point mesh moves with the coefficients: src/kouxing/assets/face_moves.npz and its card.

``PYTHONPATH=src python recipes/photo_face.py DATA MESHES [RESULT]`` with a footage folder and a folder of
``<clip id>.npy`` meshes ``[T, 478, 3]`` (``face.mesh``). Only the training split is learned from; the strength of the
prior is chosen by the validation split.

Each clip has its own face: what is learned is how far points move from the clip's mean when the coefficients move from
theirs. Ridge regression pulls every movement towards the one of our own head (recipes/head) at the same place of the
face, the more the less the footage shows of it; so what people hardly do on camera (puffed cheeks, a tongue) keeps the
head's. A coefficient moves only its part of the face, and its mirror image does the same on the other side.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "head"))

import skin as net
import targets
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from kouxing.arkit import COEFFICIENTS, FROM_MEDIAPIPE, PLACE, mirrored
from kouxing.data.manifest import Clip, read_manifest
from kouxing.face.frontal import STEADY, average, frontal
from kouxing.face.landmarks import INNER_LIP, OUTER_LIP
from kouxing.infer.portrait import LEFT_LIDS, POINTS, RIGHT_LIDS
from kouxing.types import Float

OUT = Path(__file__).parents[1] / "src/kouxing/assets/face_moves.npz"
EYE_CM = 6.4
"""Distance of our head's eyes, in which the mesh's unit is one."""
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
LATE_FRAMES = 0.45
"""The stored coefficients lie so far behind our mesh (measured when the meshes were made)."""
GAIN = (0.8, 1.6)
STRAY = 0.6
FIRM, FIRM_STRAY = ("mouthPucker", "mouthFunnel"), 0.35
"""MediaPipe reports these in lips at rest too: what goes with them is little of what they name."""
COST = 0.012
"""Of the validation's explained variance of the lips, given up for moves nearer to the head's: single coefficients then
do what their names say, also in combinations that the footage does not show."""
EVERY_POINT = tuple(range(478))
MOST_FRAMES = 75
"""Of one clip."""


def triangles() -> np.ndarray:
    """``[F, 3]`` of MediaPipe's mesh, counter-clockwise seen from the front with y up."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    near: dict[int, set[int]] = {}
    for a, b in FACEMESH_TESSELATION:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    found = {tuple(sorted((a, b, c))) for a in near for b in near[a] for c in near[a] & near[b]}
    return np.array(sorted(found))


def load(data: Path, meshes: Path, split: str, reference: Float | None) -> tuple[list[Clip], list[Float], list[Float]]:
    """Clips with ``[T, 468, 3]`` meshes (in eye distances, x left, y up, z front) and ``[T, 52]`` coefficients."""
    clips, shapes, values = [], [], []
    for clip in read_manifest(data, split):
        path = meshes / f"{clip.id}.npy"
        if not path.exists():
            continue
        points = np.load(path, allow_pickle=False).astype(np.float32)
        with np.load(data / "tracks" / f"{clip.id}.npz", allow_pickle=False) as file:
            told = file["blendshapes"].astype(np.float32)
            found = file["found"].astype(bool)
        frames = min(len(points), len(told) - 1)
        told = (1 - LATE_FRAMES) * told[:frames] + LATE_FRAMES * told[1 : frames + 1]
        kept = (
            np.isfinite(points[:frames]).all((1, 2)) & found[:frames] & found[1 : frames + 1] & np.isfinite(told).all(1)
        )
        rows = np.flatnonzero(kept)
        rows = rows[:: max(1, -(-len(rows) // MOST_FRAMES))]
        if len(rows) < 10:
            continue
        points = points[rows]
        if reference is not None:
            points = frontal(points, reference, EVERY_POINT)[0] * [1, -1, -1]
        full = np.zeros((len(rows), len(COEFFICIENTS)), np.float32)
        full[:, FROM_MEDIAPIPE] = told[rows]
        clips.append(clip)
        shapes.append(points.astype(np.float32))
        values.append(full)
    return clips, shapes, values


def mirror_points(shape: Float) -> np.ndarray:
    """For each of the 468 points the one on the other side."""
    return cKDTree(shape).query(shape * [-1, 1, 1])[1]


def head_points() -> tuple[net.Skin, Float]:
    """Our head's skin with the mouth a little open, so that upper and lower lip are apart."""
    skin = net.build()
    moves = targets.moves(skin.points, "skin", skin)
    return skin, moves


def prior(shape: Float) -> Float:
    """The head's movements at the mesh's points: ``[52, 468, 3]`` in eye distances."""
    skin, moves = head_points()
    opened = skin.points + 0.12 * moves[PLACE["jawOpen"]]
    turn, places = skin.lip_turn, 20

    def at(ring: float, angle: float) -> np.ndarray:
        rows = np.flatnonzero(np.abs(skin.lip - ring) < 1e-6)
        gap = np.abs((turn[rows] - angle + np.pi) % (2 * np.pi) - np.pi)
        return opened[rows[gap.argmin()]]

    pairs: list[tuple[int, np.ndarray]] = []
    for ring, row in ((1.0, OUTER_LIP), (0.22, INNER_LIP)):
        pairs += [(point, at(ring, np.pi + k * 2 * np.pi / places)) for k, point in enumerate(row)]
    for side, row in ((1, LEFT_LIDS), (-1, RIGHT_LIDS)):
        rows = np.flatnonzero((skin.lid == 0) & (skin.lid_side == side))
        for k, point in enumerate(row):
            angle = -k * 2 * np.pi / len(row)
            gap = np.abs((skin.lid_turn[rows] - angle + np.pi) % (2 * np.pi) - np.pi)
            pairs.append((point, opened[rows[gap.argmin()]]))
    outside = opened[~(skin.lip < 0) & ~(skin.lid < 0)]
    tip = outside[outside[:, 2].argmax()]
    middle = outside[np.abs(outside[:, 0]) < 0.4]
    chin = middle[(np.abs(middle[:, 1] + 9.2) + (middle[:, 2] < 4) * 9).argmin()]
    brow = middle[(np.abs(middle[:, 1] - 6.5) + (middle[:, 2] < 3) * 9).argmin()]
    pairs += [(4, tip), (152, chin), (10, brow)]
    # Face edges beside the ears, and the jaw's angles: (side, point, height, depth).
    for side, point, y, z in ((1, 454, -0.5, 0.8), (-1, 234, -0.5, 0.8), (1, 288, -6.0, 2.0), (-1, 58, -6.0, 2.0)):
        away = np.abs(outside[:, 1] - y) + np.abs(outside[:, 2] - z) + 9 * (outside[:, 0] * side < 0)
        pairs.append((point, outside[away.argmin()]))
    source = shape[[p for p, _ in pairs]] * EYE_CM
    warp = RBFInterpolator(source, np.stack([q for _, q in pairs]), kernel="thin_plate_spline", smoothing=0.3)
    placed = warp(shape * EYE_CM)
    rows = np.flatnonzero(~(skin.lip < 0) & ~(skin.lid < 0))
    far, near = cKDTree(opened[rows]).query(placed, k=3)
    weight = 1 / (far + 0.05) ** 2
    weight /= weight.sum(1, keepdims=True)
    return np.einsum("pk,cpkx->cpx", weight, moves[:, rows[near]]) / EYE_CM


def masks(shape: Float) -> Float:
    """``[52, 468]``, 0..1: where each coefficient may move the face."""
    x, y = shape[:, 0], shape[:, 1]
    eye_y = shape[[*RIGHT_LIDS, *LEFT_LIDS], 1].mean()
    nose_y = shape[2, 1]
    low = targets.ease(y, eye_y - 0.05, eye_y - 0.45)
    high = targets.ease(y, nose_y, eye_y - 0.25)
    left = targets.ease(x, -0.14, 0.14)
    out = []
    for name in COEFFICIENTS:
        area = low if name.startswith(("jaw", "mouth", "tongue")) else high
        if name.startswith(("cheek", "nose")):
            area = np.ones(len(shape))
        if name.startswith("mouthSmile"):
            area = np.maximum(low, 0.5)
        if name not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
            area = area * (left if name.endswith("Left") else 1 - left if name.endswith("Right") else 1.0)
        out.append(area)
    return np.stack(out)


def sums(clips: list[Clip], shapes: list[Float], values: list[Float], flip: np.ndarray) -> tuple[Float, Float]:
    """Products ``[52, 52]`` and ``[52, 468 * 3]`` over centred clips and their mirror images."""
    swap = [PLACE[mirrored(name)] for name in COEFFICIENTS]
    frames: dict[str, int] = {}
    for clip, value in zip(clips, values, strict=True):
        frames[clip.speaker] = frames.get(clip.speaker, 0) + len(value)
    gram = np.zeros((len(COEFFICIENTS),) * 2)
    cross = np.zeros((len(COEFFICIENTS), POINTS * 3))
    for clip, points, value in zip(clips, shapes, values, strict=True):
        # A speaker with hours of footage shall not outvote all others.
        weight = 1 / np.sqrt(frames[clip.speaker] / 100 + 1)
        for p, c in ((points[:, :POINTS], value), (points[:, flip] * [-1, 1, 1], value[:, swap])):
            c, p = c - c.mean(0), (p - p.mean(0)).reshape(len(p), -1)
            gram += weight * c.T @ c
            cross += weight * c.T @ p
    return gram, cross


def solve(gram: Float, cross: Float, start: Float, mask: Float, strength: float) -> Float:
    """Ridge towards ``start``, stiffer where ``mask`` is small: ``[52, 468, 3]``."""
    cross = cross.reshape(len(gram), POINTS, 3)
    out = np.zeros_like(start)
    for point in range(POINTS):
        stiff = np.diag(strength / np.maximum(mask[:, point], 0.03) ** 2)
        goal = start[:, point] * mask[:, point, None]
        out[:, point] = np.linalg.solve(gram + stiff, cross[:, point] + stiff @ goal)
    return out


def gains(gram: Float, cross: Float, start: Float) -> Float:
    """How large the head's moves must be to fit the footage best, coefficient by coefficient, within ``GAIN``: [52].

    The bounds keep the signs, and keep rarely seen coefficients from being blown up.
    """
    from scipy.optimize import lsq_linear

    flat = start.reshape(len(start), -1)
    # Normal equations of P ~ sum_j c_j k_j D_j for the k.
    left = gram * (flat @ flat.T)
    right = np.einsum("jp,jp->j", cross, flat)
    stiff = 0.02 * np.trace(left) / len(left)
    square = left + stiff * np.eye(len(left))
    root = np.linalg.cholesky(square).T
    goal = np.linalg.solve(root.T, right + stiff)
    return np.asarray(lsq_linear(root, goal, bounds=GAIN).x)


def held(moves: Float, start: Float) -> Float:
    """Draw moves back that stray from their start by more than ``STRAY`` of its length, coefficient by coefficient."""
    away = np.sqrt(((moves - start) ** 2).sum((1, 2)))
    share = np.array([FIRM_STRAY if name in FIRM else STRAY for name in COEFFICIENTS])
    limit = share * np.sqrt((start**2).sum((1, 2)))
    return start + (moves - start) * np.minimum(1, limit / np.maximum(away, 1e-9))[:, None, None]


def explained(moves: Float, shapes: list[Float], values: list[Float], rows: list[int]) -> float:
    """Share of the points' variance within clips that the coefficients explain."""
    left = whole = 0.0
    for points, value in zip(shapes, values, strict=True):
        p = points[:, rows] - points[:, rows].mean(0)
        rest = p - np.einsum("tc,cpx->tpx", value - value.mean(0), moves[:, rows])
        left, whole = left + float((rest**2).sum()), whole + float((p**2).sum())
    return 1 - left / whole


def main(data: Path, meshes: Path, out: Path) -> None:
    clips, raw, _ = load(data, meshes, "train", None)
    reference = average(np.stack([points[:, list(STEADY)].mean(0) for points in raw]).astype(np.float64))
    clips, shapes, values = load(data, meshes, "train", reference)
    _, val_shapes, val_values = load(data, meshes, "val", reference)
    mean = np.mean([points.mean(0) for points in shapes], 0)[:POINTS]
    flip = mirror_points(mean)
    mean = (mean + mean[flip] * [-1, 1, 1]) / 2
    start, mask = prior(mean), masks(mean)
    gram, cross = sums(clips, shapes, values, flip)
    lips, all_points = [*OUTER_LIP, *INNER_LIP], list(range(POINTS))
    told: dict[str, dict[str, float]] = {}
    gain = gains(gram, cross, start * mask[..., None])
    print({n: round(g, 2) for n, g in zip(COEFFICIENTS, gain, strict=True)})
    first = start * mask[..., None]
    start = start * gain[:, None, None]
    plain = start * mask[..., None]
    told["head's moves"] = {
        "val_lips": round(explained(first, val_shapes, val_values, lips), 4),
        "val_face": round(explained(first, val_shapes, val_values, all_points), 4),
    }
    made = {}
    for strength in (*STRENGTHS, None):
        moves = plain if strength is None else held(solve(gram, cross, start, mask, strength), plain)
        name = "head's moves, scaled" if strength is None else f"strength {strength:g}"
        made[name] = moves
        told[name] = {
            "val_lips": round(explained(moves, val_shapes, val_values, lips), 4),
            "val_face": round(explained(moves, val_shapes, val_values, all_points), 4),
        }
        print(name, told[name])
    enough = max(row["val_lips"] for row in told.values()) - COST
    # The rows run from the freest to the stiffest.
    chosen = [name for name in made if told[name]["val_lips"] >= enough][-1]
    best = made[chosen]
    seen = np.sqrt(np.diag(gram) / sum(len(v) for v in values))
    np.savez_compressed(
        out, moves=best.astype(np.float16), shape=mean.astype(np.float32), reference=reference.astype(np.float32),
        faces=triangles().astype(np.int16), mirror=flip.astype(np.int16),
    )  # fmt: skip
    corpora = sorted({(clip.corpus, clip.licence) for clip in clips})
    card = {
        "format_version": 1,
        "what": "How far each of MediaPipe's 468 face points moves when an ARKit coefficient goes from 0 to 1.",
        "units": {
            "moves": "eye distances, x to the person's left, y up, z out of the face",
            "names": list(COEFFICIENTS),
        },
        "recipe": "recipes/photo_face.py",
        "data": [{"source": corpus, "licence": licence} for corpus, licence in corpora],
        "licence": "non-commercial: partly learned from public research footage; the rest comes from our own CC0 head",
        "figures": {
            "clips": len(clips),
            "frames": sum(len(v) for v in values),
            "chosen": chosen,
            "explained_variance": told,
        },
        "weakly_seen": [name for name, s in zip(COEFFICIENTS, seen, strict=True) if s < 0.01],
    }
    out.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(out, out.stat().st_size, "bytes;", chosen)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else OUT)
