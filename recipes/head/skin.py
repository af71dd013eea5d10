"""The skin as a mesh: rings around mouth and eyes, an even net elsewhere, a bag behind the lips."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import shape
from scipy.spatial import Delaunay, cKDTree
from shape import EYE, EYEBALL, MOUTH_Y, Array

LIP_PLACES, LID_PLACES = 52, 40
LIP_HALF, LIP_UP, LIP_DOWN = 2.45, 0.62, 0.82

LIP_RINGS = (3.0, 2.35, 1.85, 1.5, 1.25, 1.08, 1.0, 0.86, 0.66, 0.44, 0.22, 0.0)
"""From the skin (3.0) over the lips' border (1.0) to where they meet (0)."""
BAG = ((-0.45, 0.2), (-0.9, 0.7), (-1.6, 1.25), (-3.2, 1.7), (-5.0, 1.5), (-6.3, 0.6))
"""The mouth's inside: cm behind the lips' meeting line, half of its height."""

LID_RINGS = (2.15, 1.75, 1.42, 1.15, 0.92, 0.7, 0.5, 0.32, 0.15, 0.0)
"""From the cheek and brow (2.15) over the fold (0.92) to the lids' edge (0)."""
LID_INSIDE = 2
LID_HALF, LID_UP, LID_DOWN = 1.42, 0.69, 0.50
LID_GAP = 0.10
"""cm between eyeball and the lid's outer side."""


@dataclass
class Skin:
    """The mesh with what the targets need to know about each point.

    Attributes:
        points: ``[N, 3]`` cm. faces: ``[F, 3]``, seen from outside counter-clockwise.
        lip: ``[N]`` ring (3 .. 0, negative inside the mouth), NaN elsewhere; lip_turn: ``[N]`` angle, 0 the left
            corner, pi / 2 the upper lip's middle.
        lid, lid_turn, lid_side: the same for the eyes; side is +1 left, -1 right, 0 elsewhere.
    """

    points: Array
    faces: Array
    lip: Array
    lip_turn: Array
    lid: Array
    lid_turn: Array
    lid_side: Array
    extra: dict[str, Array] = field(default_factory=dict)


def turns(places: int) -> Array:
    return 2 * np.pi * np.arange(places) / places


def lip_line(x: Array) -> Array:
    """Height of the line where the lips meet: corners a little up, a soft beak in the middle."""
    u = np.clip(np.abs(x) / LIP_HALF, 0, 1.3)
    return MOUTH_Y + 0.23 * u**2.2 - 0.07 * np.exp(-((x / 0.4) ** 2)) + 0.05 * np.exp(-(((np.abs(x) - 0.9) / 0.5) ** 2))


def lip_ring(s: float, turn: Array) -> Array:
    """``[N, 2]`` front view of ring ``s``."""
    cos, sin = np.cos(turn), np.sin(turn)
    outer = max(s - 1, 0)
    half = LIP_HALF * (0.985 + 0.015 * min(s, 1)) + 0.86 * outer
    x = half * np.sign(cos) * np.abs(cos) ** 0.92
    upper = LIP_UP * min(s, 1) + 0.70 * outer
    lower = LIP_DOWN * min(s, 1) + 0.92 * outer
    # A lip thins towards its corner; the rings around it become ellipses.
    blend = np.clip(outer / 0.8, 0, 1)
    thin = (1 - blend) * np.abs(sin) ** 1.25 + blend * np.abs(sin)
    bow = 1 + min(s, 1) * np.exp(-outer * 4) * (
        -0.20 * np.exp(-((x / 0.33) ** 2)) + 0.07 * np.exp(-(((np.abs(x) - 0.55) / 0.35) ** 2))
    )
    y = np.where(sin >= 0, upper * thin * bow, -lower * thin)
    base = lip_line(x) * (1 - blend) + (MOUTH_Y + 0.1) * blend
    return np.stack([x, base + y], -1)


def lip_swell(s: float, turn: Array) -> Array:
    """cm that ring ``s`` stands out of the face."""
    thick = np.abs(np.sin(turn)) ** 0.7
    up = np.interp(
        s, [0, 0.22, 0.44, 0.66, 0.86, 1.0, 1.08, 1.25, 1.5], [-0.16, 0.14, 0.3, 0.35, 0.31, 0.2, 0.11, 0.03, 0]
    )
    low = np.interp(
        s, [0, 0.22, 0.44, 0.66, 0.86, 1.0, 1.08, 1.25, 1.5], [-0.16, 0.12, 0.3, 0.36, 0.28, 0.11, 0.02, -0.03, 0]
    )
    corner = -0.16 * np.exp(-((s / 0.7) ** 2)) - 0.05 * np.exp(-(((s - 1) / 0.3) ** 2))
    return np.where(np.sin(turn) >= 0, up, low) * thick + corner * (1 - thick)


def lips() -> tuple[Array, Array, Array]:
    """All lip rings and the bag: points, ring, turn; ``LIP_PLACES`` points a ring."""
    turn = turns(LIP_PLACES)
    points, rings = [], []
    for s in LIP_RINGS:
        p = shape.front(lip_ring(s, turn))
        p[:, 2] += lip_swell(s, turn)
        points.append(p)
        rings.append(np.full(len(turn), s))
    meeting = points[-1]
    for number, (behind, high) in enumerate(BAG, 1):
        p = meeting.copy()
        wide = 1 - 0.06 * number if number > 2 else 1.0
        p[:, 0] = p[:, 0] * wide
        p[:, 1] = p[:, 1] + high * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.6
        # Behind the teeth's arch the bag's sides lie deeper than its middle.
        p[:, 2] = meeting[:, 2] + behind
        points.append(p)
        rings.append(np.full(len(turn), -0.1 * number))
    return np.concatenate(points), np.concatenate(rings), np.tile(turn, len(rings))


def lid_edge(turn: Array) -> Array:
    """``[N, 2]`` the open eye's outline around the eyeball's middle (left eye: the outer corner at turn 0)."""
    cos, sin = np.cos(turn), np.sin(turn)
    x = LID_HALF * np.sign(cos) * np.abs(cos) ** 0.95
    tilt = 0.07 * x + 0.02
    up = LID_UP * np.abs(sin) ** 0.85 * (1 + 0.05 * x)
    return np.stack([x, tilt + np.where(sin >= 0, up, -LID_DOWN * np.abs(sin) ** 0.95 * (1 - 0.08 * x))], -1)


def on_ball(xy: Array, radius: float) -> Array:
    """Depth over the eyeball's middle at offsets ``[N, 2]``, running out smoothly beyond its edge."""
    far = np.sum(xy**2, 1) / radius**2
    return radius * np.sqrt(np.maximum(1 - far, 0.0)) * (far < 0.72) + radius * (0.529 - 0.9 * (far - 0.72)) * (
        far >= 0.72
    )


def on_ball_at(xy: Array, radius: Array | float) -> Array:
    """``on_ball`` with a radius for each point."""
    radius = np.broadcast_to(radius, len(xy))
    return radius * on_ball(xy / radius[:, None], 1.0)


def lids() -> tuple[Array, Array, Array]:
    """The left eye's rings and the lids' inner edge: points, ring, turn."""
    turn = turns(LID_PLACES)
    edge = lid_edge(turn)
    points, rings = [], []
    for s in LID_RINGS:
        grow = np.stack([np.cos(turn) * 0.62 * s, np.sin(turn) * np.where(np.sin(turn) > 0, 0.72, 0.62) * s], -1)
        flat = edge + grow
        skin = shape.front(flat + EYE[:2])
        ball = np.concatenate([flat + EYE[:2], (EYE[2] + on_ball(flat, EYEBALL + LID_GAP))[:, None]], 1)
        mix = np.clip((s - 0.45) / 0.9, 0, 1)
        mix = mix * mix * (3 - 2 * mix)
        p = ball * (1 - mix) + skin * mix
        p[:, 2] = np.maximum(p[:, 2], np.where(s < 1.6, ball[:, 2] - 0.05, -99))
        # The upper lid's fold.
        p[:, 2] -= 0.16 * np.exp(-(((s - 0.78) / 0.16) ** 2)) * np.clip(np.sin(turn) * 1.6, 0, 1)
        p[:, 2] += 0.05 * np.exp(-((s / 0.25) ** 2))
        points.append(p)
        rings.append(np.full(len(turn), s))
    for number in range(1, LID_INSIDE + 1):
        flat = edge * (1 + 0.0 * number) + 0.05 * number * np.stack([np.cos(turn), np.sin(turn)], -1)
        depth = EYE[2] + on_ball(flat, EYEBALL) - (0.02 if number == 1 else 0.35)
        points.append(np.concatenate([flat + EYE[:2], depth[:, None]], 1))
        rings.append(np.full(len(turn), -0.1 * number))
    return np.concatenate(points), np.concatenate(rings), np.tile(turn, len(rings))


def strips(first: int, rings: int, places: int) -> Array:
    """Triangles between successive rings, seen from outside counter-clockwise when rings run inward."""
    faces = []
    for ring in range(rings - 1):
        a = first + ring * places + np.arange(places)
        b = first + ring * places + (np.arange(places) + 1) % places
        c, d = a + places, b + places
        faces += [np.stack([a, b, c], -1), np.stack([b, d, c], -1)]
    return np.concatenate(faces)


def within(loop: Array, points: Array) -> Array:
    """Which points ``[N, 2]`` lie inside a closed line: whose ray to the right crosses it oddly often."""
    inside = np.zeros(len(points), bool)
    for a, b in zip(loop, np.roll(loop, -1, 0), strict=True):
        level = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        x = a[0] + (points[:, 1] - a[1]) * (b[0] - a[0]) / (b[1] - a[1] if b[1] != a[1] else 1.0)
        inside ^= level & (points[:, 0] < x)
    return inside


def field_points(taken: Array, loops: list[Array]) -> Array:
    """Map points for the rest of the head: fine in front, coarse behind, none inside ``loops``."""
    edge = np.pi * shape.SCALE
    bottom = (shape.BEND - shape.NECK_SPAN) * shape.SCALE
    points = []
    y, row = bottom, 0
    while y < 11.4:
        front = np.exp(-(((y + 2) / 8.0) ** 2))
        step = 0.85 - 0.25 * front
        x, line = (step / 2 if row % 2 else 0.0), []
        while x < edge - 0.3:
            line.append(x)
            x += step * (1 + 1.6 * np.clip((x - 8) / 14, 0, 1) + 0.8 * np.clip((y - 5) / 6, 0, 1))
        half = np.array(line)
        xs = np.concatenate([-half[half > 0][::-1], half])
        points.append(np.stack([xs, np.full(len(xs), y)], -1))
        y, row = y + step * 0.87, row + 1
    rows = np.concatenate(points)
    inside = np.zeros(len(rows), bool)
    for loop in loops:
        inside |= within(loop, rows)
    near = cKDTree(taken).query(rows)[0] < 0.33
    return rows[~inside & ~near]


def build() -> Skin:
    """The whole skin."""
    mouth, lip, lip_turn = lips()
    left, lid, lid_turn = lids()
    right = left * np.array([-1, 1, 1])
    lip_loop, left_loop = shape.roll(mouth[:LIP_PLACES]), shape.roll(left[:LID_PLACES])
    right_loop = left_loop * np.array([-1, 1])
    loops = [lip_loop, left_loop, right_loop]
    free = field_points(np.concatenate(loops), loops)
    seam = 2 * np.pi * shape.SCALE
    count = len(free)
    # The map is a tube: both edges see each other's points while it is meshed.
    wrap_low, wrap_high = free[free[:, 0] > seam / 2 - 4], free[free[:, 0] < -seam / 2 + 4]
    owner = np.concatenate([
        np.arange(count), np.flatnonzero(free[:, 0] > seam / 2 - 4), np.flatnonzero(free[:, 0] < -seam / 2 + 4)
    ])  # fmt: skip
    ring_owner = count + np.concatenate([
        np.arange(LIP_PLACES), len(mouth) + np.arange(LID_PLACES), len(mouth) + len(left) + np.arange(LID_PLACES)
    ])  # fmt: skip
    step = np.array([seam, 0.0])
    chart = np.concatenate([free, wrap_low - step, wrap_high + step, *loops])
    owner = np.concatenate([owner, ring_owner])
    triangles = Delaunay(chart).simplices
    middle = chart[triangles].mean(1)
    keep = (middle[:, 0] >= -seam / 2) & (middle[:, 0] < seam / 2)
    for loop in loops:
        whole = np.isin(owner[triangles], ring_owner).all(1)
        keep &= ~(within(loop, middle) & whole)
    triangles = owner[triangles[keep]]
    outer = shape.unroll(free)
    points = np.concatenate([outer, mouth, left, right])
    flip = np.cross(
        points[triangles[:, 1]] - points[triangles[:, 0]], points[triangles[:, 2]] - points[triangles[:, 0]]
    )
    out = points[triangles].mean(1) - np.array([0, 0, -1.0])
    out[:, 1] = np.where(points[triangles].mean(1)[:, 1] < -8, 0, out[:, 1])
    wrong = np.sum(flip * out, 1) < 0
    triangles[wrong] = triangles[wrong][:, ::-1]
    at_mouth, at_left = count, count + len(mouth)
    at_right = at_left + len(left)
    rings = len(LIP_RINGS) + len(BAG)
    faces = [triangles, strips(at_mouth, rings, LIP_PLACES)]
    lid_rings = len(LID_RINGS) + LID_INSIDE
    faces += [strips(at_left, lid_rings, LID_PLACES), strips(at_right, lid_rings, LID_PLACES)[:, ::-1]]
    # The throat's end and the crown.
    ends, more = _caps(points, free, at_mouth + (rings - 1) * LIP_PLACES)
    faces += ends
    points = np.concatenate([points, more])
    total = len(points)
    skin = Skin(points, np.concatenate(faces), *(np.full(total, np.nan) for _ in range(4)), np.zeros(total))
    skin.lip[at_mouth:at_left], skin.lip_turn[at_mouth:at_left] = lip, lip_turn
    for start, side in ((at_left, 1), (at_right, -1)):
        rows = slice(start, start + len(left))
        skin.lid[rows], skin.lid_turn[rows], skin.lid_side[rows] = lid, lid_turn, side
    skin.lip[count + len(mouth) + 2 * len(left)] = -1.0
    skin.lip_turn[count + len(mouth) + 2 * len(left)] = 0.0
    _smooth(skin)
    return skin


def _caps(points: Array, free: Array, throat: int) -> tuple[list[Array], Array]:
    ring = throat + np.arange(LIP_PLACES)
    first = len(points)
    faces = [np.stack([ring, np.roll(ring, -1), np.full(LIP_PLACES, first)], -1)]
    top = np.flatnonzero(free[:, 1] > free[:, 1].max() - 1e-6)
    top = top[np.argsort(free[top, 0])]
    faces.append(np.stack([top, np.roll(top, -1), np.full(len(top), first + 1)], -1))
    crown = points[top].mean(0) + np.array([0, 0.25, 0])
    return faces, np.stack([points[ring].mean(0), crown])


def _smooth(skin: Skin) -> None:
    """Even out the net where rings and field meet: a few steps of weighted averaging, rings near features kept."""
    from scipy.sparse import coo_matrix

    n = len(skin.points)
    edges = np.concatenate([skin.faces[:, [0, 1]], skin.faces[:, [1, 2]], skin.faces[:, [2, 0]]])
    net = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (n, n)).tocsr()
    net = ((net + net.T) > 0).astype(float)
    mean = net.multiply(1 / np.maximum(net.sum(1), 1)).tocsr()
    free = np.clip((np.nan_to_num(skin.lip, nan=3) - 1.4) / 1.5, 0, 1)
    free *= np.clip((np.nan_to_num(skin.lid, nan=2.2) - 1.0) / 1.0, 0, 1)
    for _ in range(6):
        for rate in (0.5, -0.5):
            skin.points += rate * free[:, None] * (mean @ skin.points - skin.points)
