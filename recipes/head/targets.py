"""What each of ARKit's 52 coefficients does to a point of the head, in cm at a coefficient of 1.

Every rule is written for the character's left side; the right side mirrors it. Lips and lids go by the rings of
``skin``, everything else by smooth bumps around places of the face.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skin as net
from parts import TEETH_Z
from shape import EYE, EYEBALL, MOUTH_Y, Array

from kouxing.arkit import COEFFICIENTS

HINGE = np.array([0.0, -1.6, -0.6])
JAW_DEGREES = 17.0
EYE_DEGREES = {"eyeLookUp": 22.0, "eyeLookDown": 26.0, "eyeLookIn": 30.0, "eyeLookOut": 28.0}
CORNER_SHARE = 0.42
"""How much of the jaw's way the mouth's corners go."""
CORNER = np.array([2.4, -5.0, 6.9])


def ease(x: Array | float, low: float, high: float) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between (falls when ``low`` > ``high``)."""
    t = np.clip((np.asarray(x, float) - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def turned(points: Array, degrees: float, axis: int, about: Array) -> Array:
    """Displacement of ``points`` by a rotation around ``about``."""
    a = np.deg2rad(degrees)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    q = points - about
    out = np.zeros_like(points)
    out[:, i] = q[:, i] * (np.cos(a) - 1) - q[:, j] * np.sin(a)
    out[:, j] = q[:, i] * np.sin(a) + q[:, j] * (np.cos(a) - 1)
    return out


class Face:
    """Points of one mesh with their weights.

    Args:
        points: ``[N, 3]`` cm. kind: ``skin``, ``eye``, ``teeth``, ``lower_teeth``, ``tongue``, ``brow`` or ``still``.
        skin: the rings, for the skin itself.
    """

    def __init__(self, points: Array, kind: str, skin: net.Skin | None = None) -> None:
        self.p, self.kind, self.skin = points, kind, skin
        n = len(points)
        nan = np.full(n, np.nan)
        self.lip = skin.lip if skin else nan
        self.lip_sin = np.nan_to_num(np.sin(skin.lip_turn)) if skin else np.zeros(n)
        self.is_lip = ~np.isnan(self.lip)
        ring = np.nan_to_num(self.lip, nan=9.0)
        # Near the lips' border 1; 0 at the outermost ring and deep in the mouth.
        self.near = ease(ring, 3.0, 1.0) * ease(ring, -0.42, -0.02)
        self.roll = ease(ring, 1.6, 0.85) * ease(ring, -0.42, -0.02)
        self.ring = ring
        self.part = np.abs(self.lip_sin) ** 0.7
        self.upper = self.near * self.part * (self.lip_sin > 0)
        self.lower = self.near * self.part * (self.lip_sin < 0)
        self.jaw = self._jaw()

    def _jaw(self) -> Array:
        fixed = {"lower_teeth": 1.0, "tongue": 0.94, "teeth": 0.0, "eye": 0.0, "brow": 0.0, "still": 0.0}
        if self.kind in fixed:
            return np.full(len(self.p), fixed[self.kind])
        y, z = self.p[:, 1], self.p[:, 2]
        h = y - (HINGE[1] + (z - HINGE[2]) * (MOUTH_Y + 0.2 - HINGE[1]) / (6.6 - HINGE[2]))
        free = ease(h, 1.5, -1.9) * ease(z, -2.0, 1.8) * ease(y + 0.38 * (z - 3.0), -14.6, -9.0)
        sin = np.abs(self.lip_sin) ** 0.65
        lip = np.where(self.lip_sin > 0, CORNER_SHARE * (1 - sin), CORNER_SHARE + (1 - CORNER_SHARE) * sin)
        hold = np.where(self.is_lip, ease(self.ring, 3.0, 1.25), 0)
        return hold * lip + (1 - hold) * free

    def bump(self, at: tuple[float, float, float], size: tuple[float, float, float] | float) -> Array:
        """A smooth hill of height 1 around ``at`` (skin and brows only)."""
        if self.kind not in ("skin", "brow"):
            return np.zeros(len(self.p))
        hill = np.exp(-np.sum(((self.p - np.array(at)) / np.array(size)) ** 2, 1))
        # Nothing inside the mouth follows the cheeks, and lids lie on the eyeball whatever the brows do.
        hill = hill * np.where(self.ring < 0, ease(self.ring, -0.35, 0.0), 1)
        return hill if self.skin is None else hill * ease(np.nan_to_num(self.skin.lid, nan=9.0), 0.45, 1.7)

    def side(self, blend: float = 0.9) -> Array:
        """1 on the left half, 0 on the right, sliding over in the middle."""
        return ease(self.p[:, 0], -blend, blend)

    def corner(self, size: float = 1.9) -> Array:
        """Around the left corner of the mouth, thinning out along the lips."""
        wide = self.bump((CORNER[0], CORNER[1], CORNER[2]), (size, size * 0.95, 3.2))
        return wide * ease(self.p[:, 0], -0.2, 2.2)


def vec(weight: Array, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Array:
    return weight[:, None] * np.array([x, y, z])


def jaw_open(f: Face) -> Array:
    d = turned(f.p, JAW_DEGREES, 0, HINGE) * f.jaw[:, None]
    d[:, 0] -= 0.10 * f.p[:, 0] * f.near
    d += vec(f.bump((4.4, -4.6, 4.6), 2.0) + f.bump((-4.4, -4.6, 4.6), 2.0), z=-0.12)
    return d


def mouth_close(f: Face) -> Array:
    """Exactly what brings the lips of an open jaw together: the upper lip goes 0.3 of the way."""
    d = np.zeros_like(f.p)
    if f.skin is None:
        return d
    opened = jaw_open(f)
    meeting = np.flatnonzero(f.ring == 0)
    gap = opened[meeting[(-np.arange(len(meeting))) % len(meeting)]] - opened[meeting]
    turn = np.nan_to_num(f.skin.lip_turn)
    place = np.round(turn / (2 * np.pi) * net.LIP_PLACES).astype(int) % net.LIP_PLACES
    share = np.where(f.lip_sin > 0, 0.3, 0.7)[:, None]
    hold = np.where(f.is_lip, ease(f.ring, 3.1, 0.9) * ease(f.ring, -0.75, -0.1), 0)
    d = hold[:, None] * share * gap[place]
    chin = f.bump((0, -7.4, 7.6), (2.2, 1.2, 2.5)) * (1 - hold)
    return d + vec(chin, y=0.55)


def pucker(f: Face) -> Array:
    d = np.zeros_like(f.p)
    d[:, 0] = -0.37 * f.p[:, 0] * f.near
    d[:, 2] = (0.75 - 0.25 * ease(f.ring, 1.2, 2.6)) * f.near * (1 - 0.25 * (1 - f.part))
    d[:, 1] = f.roll * f.part * np.sign(f.lip_sin) * 0.10 * np.minimum(np.abs(f.ring), 1.0)
    d += vec(f.bump((4.2, -4.6, 5.0), 1.7), x=-0.3) + vec(f.bump((-4.2, -4.6, 5.0), 1.7), x=0.3)
    return d


def funnel(f: Face) -> Array:
    d = np.zeros_like(f.p)
    d[:, 0] = -0.25 * f.p[:, 0] * f.near
    d[:, 2] = 0.62 * f.near + 0.22 * f.roll * ease(f.ring, 1.0, 0.1) * f.part
    d[:, 1] = 0.42 * f.upper - 0.48 * f.lower
    return d


def smile(f: Face) -> Array:
    d = vec(f.corner(), 0.75, 0.72, -0.55)
    d += vec(f.bump((3.8, -2.3, 6.4), (1.5, 1.2, 2.5)), 0.10, 0.32, 0.28)
    d += vec(f.upper * f.side(), y=0.06) + vec(f.near * f.part * f.side(), z=-0.12)
    return d + lids(f, low=0.08)


def lids(f: Face, up: float = 0.0, low: float = 0.0, close: float = 0.0, aside: float = 0.0) -> Array:
    """Move the left eye's lids over the ball: ``up``, ``low`` cm upward, ``close`` 0..1 of the way to shut."""
    d = np.zeros_like(f.p)
    if f.skin is None:
        return d
    rows = f.skin.lid_side > 0
    turn, ring = f.skin.lid_turn[rows], f.skin.lid[rows]
    p = f.p[rows]
    sin = np.sin(turn)
    weight = np.where(sin > 0, ease(ring, 1.25, 0.0), ease(ring, 1.5, 0.0))
    part = np.abs(sin) ** 0.8
    edge = net.lid_edge(turn)
    # Shut lids meet near the lower one's place: both sides share x, so they meet exactly.
    low_edge = net.lid_edge(-np.abs(turn_of(sin, turn)))[:, 1]
    high_edge = net.lid_edge(np.abs(turn_of(sin, turn)))[:, 1]
    shut = low_edge + 0.22 * (high_edge - low_edge)
    y = close * (shut - edge[:, 1]) - close * 0.03 * (sin > 0) * part + np.where(sin > 0, up, low) * part
    flat = p[:, :2] - EYE[:2]
    moved = flat + np.stack([aside * weight * part, y * weight], -1)
    radius = EYEBALL + net.LID_GAP + 0.05 * close * (sin > 0)
    mix = np.clip((ring - 0.45) / 0.9, 0, 1)
    z = (net.on_ball_at(moved, radius) - net.on_ball_at(flat, radius)) * (1 - mix * mix * (3 - 2 * mix))
    # The plate of a shut lid lies on the ball, wherever it came from.
    on_top = EYE[2] + net.on_ball_at(moved, radius + 0.02) - p[:, 2]
    covers = (sin > 0) & (ring >= 0) & (ring < 0.95)
    z = np.where(covers & (close > 0), np.maximum(z, on_top), z)
    d[rows] = np.concatenate([moved - flat, z[:, None]], 1)
    return d


def turn_of(sin: Array, turn: Array) -> Array:
    """The turn folded to the upper half."""
    folded = np.mod(turn, 2 * np.pi)
    return np.where(folded > np.pi, 2 * np.pi - folded, folded)


def look(f: Face, name: str) -> Array:
    angle = EYE_DEGREES[name]
    if f.kind == "eye":
        left = f.p[:, 0] > 0
        d = np.zeros_like(f.p)
        axis, sign = {"eyeLookUp": (0, -1), "eyeLookDown": (0, 1), "eyeLookIn": (1, -1), "eyeLookOut": (1, 1)}[name]
        d[left] = turned(f.p[left], sign * angle, axis, EYE)
        return d
    moves = {
        "eyeLookUp": {"up": 0.20, "low": 0.10},
        "eyeLookDown": {"up": -0.40, "low": -0.14},
        "eyeLookIn": {"aside": -0.05},
        "eyeLookOut": {"aside": 0.05},
    }
    return lids(f, **moves[name])


def tongue_out(f: Face) -> Array:
    if f.kind == "tongue":
        z = f.p[:, 2]
        out, rise = ease(z, TEETH_Z - 5.0, TEETH_Z - 0.9), ease(z, TEETH_Z - 5.0, TEETH_Z - 2.2)
        # Up over the lower teeth, then the tip down over the lip.
        return vec(out, z=2.9) + vec(rise, y=0.62) + vec(ease(z, TEETH_Z - 2.4, TEETH_Z - 0.7), y=-0.75)
    return vec(f.lower, y=-0.42, z=0.06) + vec(f.upper, y=0.22)


def puff(f: Face) -> Array:
    left = f.bump((4.3, -4.4, 4.6), (1.9, 1.8, 2.4))
    right = f.bump((-4.3, -4.4, 4.6), (1.9, 1.8, 2.4))
    d = vec(left, 1.15, 0.0, 0.60) + vec(right, -1.15, 0.0, 0.60)
    return d + vec(f.near, z=0.12)


def jaw_shift(f: Face, x: float, z: float) -> Array:
    # Less at the jaw's angle than the opening: there it turns, it does not slide.
    weight = f.jaw * ease(f.p[:, 2], -1.5, 6.0) if f.skin is not None else f.jaw.copy()
    if f.skin is not None:
        weight = np.maximum(weight, 0.25 * f.upper)
    return vec(weight, x, 0.0, z)


def roll_upper(f: Face) -> Array:
    w = f.roll * f.part * (f.lip_sin > 0)
    depth = np.clip(np.minimum(f.ring, 1.0), 0, 1)
    return vec(w * depth, y=-0.40) + vec(w, z=-0.34) + vec(f.upper * (f.ring > 1), y=-0.10)


def roll_lower(f: Face) -> Array:
    w = f.roll * f.part * (f.lip_sin < 0)
    depth = np.clip(np.minimum(f.ring, 1.0), 0, 1)
    return vec(w * depth, y=0.52) + vec(w, z=-0.38) + vec(f.lower * (f.ring > 1), y=0.14)


def press(f: Face) -> Array:
    side = f.side()
    up, down = f.roll * f.part * (f.lip_sin > 0), f.roll * f.part * (f.lip_sin < 0)
    depth = np.clip(np.minimum(f.ring, 1.0), 0, 1)
    d = vec(up * side * depth, y=-0.18) + vec(down * side * depth, y=0.24) + vec((up + down) * side, z=-0.14)
    return d + vec(f.corner(1.4), 0.10, 0.05, -0.15)


RULES: dict[str, Callable[[Face], Array]] = {
    "eyeBlink": lambda f: lids(f, close=1.0) + vec(f.bump((3.2, 2.9, 6.5), (1.8, 0.8, 2)), y=-0.08),
    "eyeLookDown": lambda f: look(f, "eyeLookDown"),
    "eyeLookIn": lambda f: look(f, "eyeLookIn"),
    "eyeLookOut": lambda f: look(f, "eyeLookOut"),
    "eyeLookUp": lambda f: look(f, "eyeLookUp"),
    "eyeSquint": lambda f: lids(f, up=-0.16, low=0.30) + vec(f.bump((3.4, -0.9, 6.4), (1.8, 0.9, 2)), y=0.16, z=0.08),
    "eyeWide": lambda f: lids(f, up=0.30, low=-0.07) + vec(f.bump((3.2, 3.0, 6.5), (2.2, 1, 2)), y=0.16),
    "jawForward": lambda f: jaw_shift(f, 0.0, 0.65),
    "jawLeft": lambda f: jaw_shift(f, 0.75, 0.0),
    "jawOpen": jaw_open,
    "mouthClose": mouth_close,
    "mouthFunnel": funnel,
    "mouthPucker": pucker,
    "mouthLeft": lambda f: vec(f.near, 0.85, 0.0, -0.08) + vec(f.corner(1.6), -0.1, 0.12, -0.25),
    "mouthSmile": smile,
    "mouthFrown": lambda f: vec(f.corner(), 0.05, -0.68, -0.12) + vec(f.lower * f.side(), y=-0.05),
    "mouthDimple": lambda f: vec(f.corner(1.5), 0.42, 0.10, -0.50),
    "mouthStretch": lambda f: vec(f.corner(2.2), 0.72, -0.28, -0.50) + vec(f.lower * f.side(), y=-0.12),
    "mouthRollLower": roll_lower,
    "mouthRollUpper": roll_upper,
    "mouthShrugLower": lambda f: (
        vec(f.lower, y=0.34, z=0.24) + vec(f.upper, y=0.26, z=0.08) + vec(f.bump((0, -7.4, 7.6), (2, 1.2, 2.5)), y=0.38)
    ),
    "mouthShrugUpper": lambda f: vec(f.upper, y=0.32, z=0.14) + vec(f.lower, y=0.16),
    "mouthPress": press,
    "mouthLowerDown": lambda f: vec(f.lower * f.side(), 0.06, -0.62, 0.02),
    "mouthUpperUp": lambda f: vec(f.upper * f.side(), 0.04, 0.50, 0.02) + vec(f.bump((1.6, -3.3, 7.6), 0.9), y=0.10),
    "browDown": lambda f: (
        vec(f.bump((2.3, 3.1, 6.8), (2.2, 1.25, 3)), -0.12, -0.52, 0.10)
        + vec(f.bump((1.0, 2.9, 7.2), (1.0, 1.1, 2)), -0.10, -0.22, 0.08)
    ),
    "browInnerUp": lambda f: (
        vec(f.bump((1.2, 3.3, 7.0), (1.7, 1.6, 3)), 0, 0.62, 0)
        + vec(f.bump((-1.2, 3.3, 7.0), (1.7, 1.6, 3)), 0, 0.62, 0)
    ),
    "browOuterUp": lambda f: vec(f.bump((4.2, 3.3, 5.8), (2.0, 1.6, 3)), 0, 0.68, 0),
    "cheekPuff": puff,
    "cheekSquint": lambda f: vec(f.bump((3.7, -1.7, 6.3), (1.7, 1.2, 2.5)), 0.05, 0.38, 0.24) + lids(f, low=0.14),
    "noseSneer": lambda f: (
        vec(f.bump((1.1, -2.2, 8.0), (1.0, 1.2, 1.8)), 0.10, 0.36, 0.05)
        + vec(f.upper * f.side(), y=0.16)
        + vec(f.bump((1.4, -1.0, 7.2), (1.0, 1.2, 2)), 0.0, 0.14, 0.10)
    ),
    "tongueOut": tongue_out,
}


def moves(points: Array, kind: str, skin: net.Skin | None = None) -> Array:
    """What the 52 add to a mesh: ``[52, N, 3]`` cm, in ``COEFFICIENTS``' order."""
    here = Face(points, kind, skin)
    there = Face(points * [-1, 1, 1], kind, _mirror(skin))
    out = []
    for name in COEFFICIENTS:
        if name in ("jawRight", "mouthRight"):
            out.append(RULES[name.replace("Right", "Left")](there) * [-1, 1, 1])
        elif name in RULES:
            out.append(RULES[name](here))
        elif name.endswith("Left"):
            out.append(RULES[name[:-4]](here))
        else:
            out.append(RULES[name[:-5]](there) * [-1, 1, 1])
    made = np.stack(out)
    made[np.linalg.norm(made, axis=2) < 0.004] = 0
    return made


def _mirror(skin: net.Skin | None) -> net.Skin | None:
    if skin is None:
        return None
    return net.Skin(
        skin.points * [-1, 1, 1], skin.faces, skin.lip, np.mod(np.pi - skin.lip_turn, 2 * np.pi),
        skin.lid, skin.lid_turn, -skin.lid_side,
    )  # fmt: skip
