"""Makes the bundled head, src/kouxing/assets/head.glb: ``PYTHONPATH=src python recipes/head``.

All of it is computed by the files of this folder; no scan, photo or other model went in. The result is CC0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import parts
import shape
import skin as net
import targets
from shape import Array

from kouxing.export.glb import Glb, write_glb
from kouxing.export.meshes import Primitive, add_mesh, linear

OUT = Path(__file__).parents[2] / "src/kouxing/assets/head.glb"
CM = 0.01

TONE = np.array([232.0, 186.0, 160.0])
LIPS = np.array([198.0, 112.0, 106.0])
BLUSH = np.array([228.0, 142.0, 122.0])
MATERIALS = {"skin": 0.55, "eyes": 0.32, "teeth": 0.4, "tongue": 0.5, "hair": 0.6, "shirt": 0.9}
"""Name -> roughness."""


def paint(skin: net.Skin) -> Array:
    """The skin's colours ``[N, 3]`` sRGB."""
    p = skin.points
    mirrored = np.abs(p) * [1, 0, 0] + p * [0, 1, 1]

    def spot(at: tuple[float, float, float], size: float | tuple[float, float, float]) -> Array:
        return np.exp(-np.sum(((mirrored - np.array(at)) / np.array(size)) ** 2, 1))[:, None]

    tint = np.tile(TONE, (len(p), 1))
    tint += (BLUSH - tint) * (0.42 * spot((4.3, -2.0, 5.6), (2.0, 1.5, 3)) + 0.30 * spot((0, -2.3, 9.4), 1.3))
    tint *= 1 - 0.10 * spot((3.1, 2.0, 6.4), (2.0, 0.7, 2)) - 0.05 * spot((2.8, -0.6, 6.8), (1.6, 0.5, 2))
    tint *= 1 - 0.45 * spot((0.52, -2.98, 8.35), (0.36, 0.20, 0.5))
    throat = targets.ease(p[:, 1] + 0.35 * p[:, 2], -6.0, -9.0)[:, None]
    tint *= 1 - 0.22 * throat * np.array([0.8, 1.0, 1.1])
    ring = np.nan_to_num(skin.lip, nan=9.0)[:, None]
    tint += (LIPS - tint) * targets.ease(ring, 1.07, 0.95)
    tint *= 1 - 0.28 * targets.ease(ring, 0.3, 0.0) * (ring >= 0)
    inside = (ring < 0) * np.ones(3)
    deep = targets.ease(-ring, 0.05, 0.6)
    mouth = np.array([150.0, 62.0, 62.0]) * (1 - deep) + np.array([34.0, 8.0, 10.0]) * deep
    tint = np.where(inside > 0, mouth, tint)
    lid = np.nan_to_num(skin.lid, nan=9.0)[:, None]
    upper = (np.nan_to_num(np.sin(skin.lid_turn)) > 0)[:, None]
    lash = np.where(upper, 0.80, 0.45) * np.exp(-((lid / np.where(upper, 0.12, 0.08)) ** 2))
    tint = tint * (1 - lash) + np.array([58.0, 38.0, 32.0]) * lash
    tint *= 1 - 0.10 * np.exp(-(((lid - 0.8) / 0.15) ** 2)) * upper
    return np.clip(tint, 0, 255)


def solids() -> list[tuple[str, parts.Solid]]:
    """Everything but the skin, with its material."""
    eye, brow = parts.eyeball(), parts.brow()
    side = shape.march(np.array([[0, -0.4, -1.0]]), np.array([[1.0, 0, 0]]), 6.0)[0]
    ear = parts.ear(side + np.array([0.12, -0.1, -0.1]))
    return [
        ("eyes", parts.join([eye, parts.mirrored(eye)], "eye")),
        ("teeth", parts.teeth(True)),
        ("teeth", parts.teeth(False)),
        ("tongue", parts.tongue()),
        ("hair", parts.join([brow, parts.mirrored(brow)], "brow")),
        ("skin", parts.join([ear, parts.mirrored(ear)], "still")),
        ("hair", parts.hair()),
        ("shirt", parts.shirt()),
    ]


def build() -> Glb:
    """The head as a GLB."""
    skin = net.build()
    whole = [("skin", skin.points, skin.faces, paint(skin), targets.moves(skin.points, "skin", skin))]
    for material, one in solids():
        whole.append((material, one.points, one.faces, one.colours, targets.moves(one.points, one.kind)))
    glb = Glb({"asset": {"version": "2.0", "generator": "kouxing recipes/head", "copyright": "CC0 1.0"}})
    names = list(MATERIALS)
    for name, rough in MATERIALS.items():
        metal = {"baseColorFactor": [1, 1, 1, 1], "metallicFactor": 0.0, "roughnessFactor": rough}
        glb.append("materials", {"name": name, "pbrMetallicRoughness": metal, "doubleSided": name in ("skin", "shirt")})
    primitives = []
    for name in names:
        rows = [row for row in whole if row[0] == name]
        starts = np.cumsum([0, *(len(row[1]) for row in rows)])
        primitives.append(
            Primitive(
                points=np.concatenate([row[1] for row in rows]) * CM,
                faces=np.concatenate([row[2] + start for row, start in zip(rows, starts, strict=False)]),
                moves=np.concatenate([row[4] for row in rows], 1) * CM,
                material=names.index(name),
                colours=linear(np.concatenate([row[3] for row in rows])),
            )
        )
    mesh = add_mesh(glb, primitives, "head")
    meeting = skin.points[skin.lip == 0] * CM
    # Where teeth and tongue belong, for heads that borrow them.
    mouth = {
        "middle": [0.0, float(meeting[:, 1].mean()), float(meeting[:, 2].max())],
        "width": float(np.ptp(meeting[:, 0])),
    }
    node = glb.append("nodes", {"name": "head", "mesh": mesh, "extras": {"mouth": mouth}})
    glb.document["scene"] = glb.append("scenes", {"nodes": [node]})
    return glb


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    glb = build()
    write_glb(out, glb)
    points = sum(
        glb.document["accessors"][p["attributes"]["POSITION"]]["count"] for p in glb.document["meshes"][0]["primitives"]
    )
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, {points} points")


if __name__ == "__main__":
    main()
