"""Everything of the head that is not skin: eyeballs, teeth, gums, tongue, brows, ears, hair and a shirt. In cm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shape
from shape import EYE, EYEBALL, MOUTH_Y, Array

TEETH_Z = 6.75
"""Front of the upper middle teeth."""
ARCH = 0.42
"""How fast the row of teeth bends back, 1 / cm."""
WIDTHS = (0.86, 0.70, 0.78, 0.72, 0.72, 0.90)
"""Teeth from the middle outward."""


@dataclass
class Solid:
    """A mesh with colours.

    Attributes:
        points: ``[N, 3]`` cm. faces: ``[F, 3]``. colours: ``[N, 3]`` sRGB 0..255.
        kind: which of the rules in ``targets`` moves it.
    """

    points: Array
    faces: Array
    colours: Array
    kind: str


def grid_faces(rows: int, columns: int, closed: bool) -> Array:
    """Triangles of a ``rows x columns`` net; ``closed`` joins the last column to the first."""
    faces = []
    for i in range(rows - 1):
        for j in range(columns if closed else columns - 1):
            a, b = i * columns + j, i * columns + (j + 1) % columns
            faces += [(a, b, a + columns), (b, b + columns, a + columns)]
    return np.array(faces)


def outward(points: Array, faces: Array, middle: Array) -> Array:
    """Turn faces that look towards ``middle``."""
    corner = points[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    wrong = np.sum(normal * (corner.mean(1) - middle), 1) < 0
    faces = faces.copy()
    faces[wrong] = faces[wrong][:, ::-1]
    return faces


def join(solids: list[Solid], kind: str) -> Solid:
    """One mesh out of several."""
    starts = np.cumsum([0, *(len(s.points) for s in solids)])
    faces = np.concatenate([s.faces + start for s, start in zip(solids, starts, strict=False)])
    return Solid(np.concatenate([s.points for s in solids]), faces, np.concatenate([s.colours for s in solids]), kind)


def mirrored(solid: Solid) -> Solid:
    return Solid(solid.points * [-1, 1, 1], solid.faces[:, ::-1], solid.colours, solid.kind)


def eyeball() -> Solid:
    """The left eye: rings around its axis, doubled where the colour changes at once."""
    places = 32
    white, limbus, iris, ring, black = (244, 241, 238), (52, 58, 66), (96, 142, 158), (62, 98, 120), (14, 12, 14)
    rings = [
        (0.0, black), (5.0, black), (10.5, black), (11.2, ring), (14.0, iris), (19.0, iris), (23.5, ring),
        (25.5, limbus), (26.6, limbus), (28.0, white), (36.0, white), (48.0, (238, 232, 229)), (62.0, (226, 212, 208)),
        (78.0, (205, 180, 176)), (100.0, (180, 150, 148)),
    ]  # fmt: skip
    turn = 2 * np.pi * np.arange(places) / places
    points, colours = [], []
    for degrees, colour in rings:
        a = np.deg2rad(degrees)
        radius = EYEBALL
        around = np.stack([np.sin(a) * np.cos(turn), np.sin(a) * np.sin(turn), np.full(places, np.cos(a))], -1)
        points.append(EYE + radius * around)
        tint = np.tile(np.array(colour, float), (places, 1))
        if 11 < degrees < 26:
            tint *= (1 + 0.10 * np.sin(9 * turn + degrees) * np.cos(5 * turn))[:, None]
        colours.append(tint)
    net = np.concatenate(points)
    return Solid(net, outward(net, grid_faces(len(rings), places, True), EYE), np.concatenate(colours), "eye")


def arch(length: Array, back: float) -> tuple[Array, Array, Array]:
    """Along a row of teeth: x, z and the direction outward ``[N, 2]`` at arc length from the middle."""
    x = np.linspace(0, 2.6, 400)
    z = -ARCH * x**2 * (1 + 0.05 * x**2)
    run = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
    side, along = np.sign(length), np.abs(length)
    px, pz = np.interp(along, run, x), np.interp(along, run, z)
    slope = np.interp(along, run, np.gradient(z, x))
    out = np.stack([-slope, np.ones_like(slope)], -1)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return px * side, pz + TEETH_Z - back, out * np.stack([np.where(side == 0, 1, side), np.ones_like(side)], -1)


def teeth(upper: bool) -> Solid:
    """A row of twelve, and its gum."""
    sign = 1.0 if upper else -1.0
    edge = MOUTH_Y - (0.22 if upper else 0.12)
    back = 0.0 if upper else 0.28
    factor = 1.0 if upper else 0.86
    solids, start = [], 0.0
    for number, full in enumerate(WIDTHS):
        wide = full * factor
        high = (1.0, 0.9, 1.02, 0.85, 0.8, 0.75)[number] * (1.0 if upper else 0.9)
        one = _tooth(start + wide / 2, wide, high, edge, sign, back)
        solids += [one, mirrored(one)]
        start += wide
    solids.append(_gum(start, edge + sign * 0.82, sign, back))
    return join(solids, "teeth" if upper else "lower_teeth")


def _tooth(at: float, wide: float, high: float, edge: float, sign: float, back: float) -> Solid:
    turn = 2 * np.pi * np.arange(10) / 10
    across = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.6
    depth = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.7
    points, colours = [], []
    # Height from the biting edge, width and depth of the cross-section there.
    for h, w, d in ((0.0, 0.70, 0.25), (0.06, 0.92, 0.55), (0.35, 1.0, 0.85), (0.75, 0.93, 1.0), (1.1, 0.8, 1.0)):
        length = at + across * w * wide / 2 * 0.985
        x, z, out = arch(length, back)
        push = depth * d * 0.22 - 0.2
        y = edge + sign * h * high
        points.append(np.stack([x + out[:, 0] * push, np.full(10, y), z + out[:, 1] * push], -1))
        shade = 1.0 - 0.05 * h
        colours.append(np.tile(np.array([246, 241, 230]) * shade, (10, 1)))
    net = np.concatenate([*points, points[0].mean(0, keepdims=True)])
    faces = np.concatenate([grid_faces(5, 10, True), np.array([(50, (k + 1) % 10, k) for k in range(10)])])
    colours.append(np.array([[246, 241, 230]]))
    return Solid(net, outward(net, faces, net.mean(0)), np.concatenate(colours), "")


def _gum(length: float, height: float, sign: float, back: float) -> Solid:
    along = np.linspace(-length, length, 25)
    x, z, out = arch(along, back)
    rows, colours = [], []
    scallop = 0.07 * np.cos(along * 2 * np.pi / 0.8)
    for push, up in ((-0.5, 0.1), (-0.12, 0.0), (0.06, 0.12), (0.08, 0.5), (-0.1, 0.95), (-0.6, 1.1)):
        y = height + sign * (up + scallop * (up < 0.2))
        rows.append(np.stack([x + out[:, 0] * push, y, z + out[:, 1] * push], -1))
        colours.append(np.tile(np.array([202, 110, 112]) * (1 - 0.25 * up), (25, 1)))
    net = np.concatenate(rows)
    middle = np.array([0, height + sign * 0.5, TEETH_Z - 3.0])
    return Solid(net, outward(net, grid_faces(6, 25, False), middle), np.concatenate(colours), "")


def tongue() -> Solid:
    """From the throat to behind the lower teeth."""
    rows, places = 14, 16
    t = np.linspace(0, 1, rows)
    turn = 2 * np.pi * np.arange(places) / places
    z = TEETH_Z - 5.4 + t * 4.65
    y = MOUTH_Y - 1.05 + 0.35 * np.sin(np.pi * t**0.8) - 0.05 * t
    wide = 1.55 * np.minimum(1, np.sqrt(np.maximum(1 - ((t - 0.3) / 0.72) ** 4, 0)) + 0.02) * (1 - 0.18 * t)
    thick = 0.6 - 0.22 * t
    thick[-1], wide[-1] = 0.06, 0.12
    points, colours = [], []
    for k in range(rows):
        x = wide[k] * np.cos(turn)
        groove = 0.10 * np.exp(-((x / 0.35) ** 2)) * (np.sin(turn) > 0) * (t[k] < 0.95)
        points.append(np.stack([x, y[k] + thick[k] * np.sin(turn) - groove, np.full(places, z[k])], -1))
        colours.append(np.tile(np.array([206, 104, 108]) * (0.45 + 0.55 * t[k]), (places, 1)))
    net = np.concatenate(points)
    middle = np.repeat(np.stack([0 * t, y, z], -1), places, 0)
    faces = grid_faces(rows, places, True)
    return Solid(net, outward(net, faces, middle[faces].mean(1)), np.concatenate(colours), "tongue")


def brow() -> Solid:
    """The left brow, lying on the skin."""
    along, across = 18, 5
    t = np.linspace(0, 1, along)
    x = 1.25 + 4.0 * t
    y = 2.78 + 0.72 * np.sin(np.pi * (0.12 + 0.72 * t)) ** 1.2 - 0.32 * t**3
    half = 0.30 * np.minimum(1, 0.55 + 2.2 * t) * (1 - t) ** 0.55 + 0.02
    points, colours = [], []
    for v in np.linspace(-1, 1, across):
        skin = shape.front(np.stack([x, y + half * v], -1))
        lift = 0.02 + 0.13 * (1 - v * v) * np.minimum(1, 6 * t + 0.3)
        points.append(skin + np.stack([0 * lift, 0 * lift, lift], -1))
        colours.append(np.tile(np.array([84, 58, 44]) * (1 - 0.08 * abs(v)), (along, 1)))
    net = np.concatenate(points)
    return Solid(net, outward(net, grid_faces(across, along, False), np.zeros(3)), np.concatenate(colours), "brow")


def ear(base: Array) -> Solid:
    """The left ear: a bowl with a rolled rim."""
    rings, places = 11, 26
    turn = 2 * np.pi * np.arange(places) / places
    high = 2.05 + 0.15 * np.sin(turn)
    deep = 1.22 + 0.22 * np.sin(turn) - 0.10 * np.cos(turn)
    points, colours = [], []
    profile = [
        (0.0, -0.35), (0.25, -0.32), (0.45, -0.15), (0.58, 0.12), (0.68, 0.16), (0.78, 0.08), (0.88, 0.26),
        (0.97, 0.32), (1.02, 0.18), (0.95, -0.05), (0.6, -0.55),
    ]  # fmt: skip
    for r, w in profile:
        # The rim opens in front, where the ear grows out of the cheek; the lobe is flat.
        front = np.clip(np.cos(turn), 0, 1) ** 1.5
        lobe = np.clip(-np.sin(turn) - 0.45, 0, 1) / 0.55
        out = w * (1 - 0.65 * front) * (1 - 0.5 * lobe) + 0.25 * (r > 0.5) * 0
        shift = 0.22 * (1 - r) * (r < 0.7)
        points.append(np.stack([out, r * high * np.sin(turn) - 0.25 * shift, r * deep * np.cos(turn) + shift], -1))
        tone = np.array([226, 164, 140]) * np.interp(w, [-0.35, 0.1, 0.3], [0.72, 0.92, 1.0])
        colours.append(np.tile(tone, (places, 1)))
    net = np.concatenate(points)
    faces = grid_faces(rings, places, True)
    faces = faces if _towards(net, faces, rings // 2, places) > 0 else faces[:, ::-1]
    flare, lean = np.deg2rad(28), np.deg2rad(-9)
    turn_y = np.array([[np.cos(flare), 0, -np.sin(flare)], [0, 1, 0], [np.sin(flare), 0, np.cos(flare)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    return Solid(net @ turn_x.T @ turn_y.T + base, faces, np.concatenate(colours), "still")


def _towards(net: Array, faces: Array, ring: int, places: int) -> float:
    """Mean outward part of the normals of the first rings (they must look out of the head)."""
    corner = net[faces[: 2 * places * 2]]
    return float(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])[:, 0].mean())


def hair() -> Solid:
    """A short cut: a shell over the scalp that runs into the skin at the hairline."""
    columns, rows = 72, 22
    azimuth = 2 * np.pi * np.arange(columns) / columns - np.pi
    side = np.abs(np.rad2deg(azimuth))
    line = np.interp(
        side,
        (0, 18, 34, 46, 56, 66, 74, 80, 92, 102, 112, 130, 180),
        (36, 37, 36, 30, 19, 10, -6, -9, 10, 8, -14, -26, -31),
    )
    line += 2.5 * np.exp(-(((np.rad2deg(azimuth) - 22) / 9) ** 2))
    points, colours = [], []
    for k in range(rows):
        t = k / (rows - 1)
        el = np.deg2rad(line + (89.5 - line) * t)
        way = np.stack([np.sin(azimuth) * np.cos(el), np.sin(el), np.cos(azimuth) * np.cos(el)], -1)
        origin = np.tile(np.array([0.0, 0.0, -0.8]), (columns, 1))
        skin = shape.march(origin, way, 8.0)
        top = np.clip(np.sin(el), 0, 1)
        full = np.clip(t / 0.16, 0, 1) ** 0.6
        # A parting on his left, the hair swept over from there.
        sweep = np.rad2deg(np.arctan2(skin[:, 0] - 2.6, skin[:, 2] + 9.0))
        lock = 0.10 * np.sin(sweep * 0.62 + 2.2 * np.sin(sweep * 0.13)) + 0.05 * np.sin(sweep * 1.7 + t * 4)
        parting = np.exp(-(((skin[:, 0] - 2.6) / 0.5) ** 2)) * np.clip((skin[:, 2] + 3) / 4, 0, 1) * top
        fringe = np.exp(-(((t - 0.17) / 0.16) ** 2)) * np.clip(np.cos(azimuth), 0, 1) ** 2
        lift = full * (0.55 + 0.75 * top + 0.5 * fringe * (skin[:, 0] < 2.6) + lock - 0.45 * parting)
        lift = np.where(full == 0, -0.25, lift)
        points.append(skin + way * lift[:, None])
        tone = np.array([86, 60, 45])[None] * (0.85 + 0.9 * (lock[:, None] + 0.05) - 0.2 * parting[:, None])
        colours.append(np.clip(tone * (0.75 + 0.25 * full), 0, 255))
    net = np.concatenate([*points, points[-1].mean(0, keepdims=True)])
    last = len(net) - 1
    cap = np.array([(last - columns + j, last - columns + (j + 1) % columns, last) for j in range(columns)])
    faces = np.concatenate([grid_faces(rows, columns, True), cap])
    colours.append(colours[-1].mean(0, keepdims=True))
    return Solid(net, outward(net, faces, np.array([0, 0, -0.8])), np.concatenate(colours), "still")


def shirt() -> Solid:
    """Collar and shoulders; hides where the neck ends."""
    places = 48
    turn = 2 * np.pi * np.arange(places) / places
    rings = [
        (-13.9, 4.2, 4.4), (-12.2, 4.35, 4.5), (-12.0, 4.6, 4.75), (-12.3, 5.0, 5.1), (-12.8, 5.8, 5.5),
        (-13.3, 8.2, 6.1), (-14.2, 12.0, 6.7), (-15.6, 15.0, 7.2), (-18.0, 16.6, 7.6), (-21.0, 17.0, 7.8),
    ]  # fmt: skip
    points, colours = [], []
    for number, (y, wide, deep) in enumerate(rings):
        power = 0.86 if number > 4 else 1.0
        x = wide * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
        z = deep * np.sin(turn) - 2.3
        # The collar lies lower in front.
        drop = (0.9 * np.clip(np.sin(turn), 0, 1) if number < 5 else 0.4 * np.clip(np.sin(turn), 0, 1)) * (number > 0)
        points.append(np.stack([x, y - drop, z], -1))
        tone = np.array([58, 84, 112]) if number > 3 else np.array([46, 68, 94])
        colours.append(np.tile(tone, (places, 1)))
    net = np.concatenate(points)
    faces = outward(net, grid_faces(len(rings), places, True), np.array([0, -16.0, -2.3]))
    return Solid(net, faces, np.concatenate(colours).astype(float), "still")
