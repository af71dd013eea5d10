"""What a photo's face lacks: eyes that can look around, the mouth's inside, and the picture around the face."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.errors import WeightError
from kouxing.export.glb import read_glb
from kouxing.export.meshes import linear
from kouxing.face.landmarks import INNER_LIP
from kouxing.infer import morphs
from kouxing.infer.portrait import EYE_M, LEFT_LIDS, OVAL, POINTS, RIGHT_LIDS, Face, learned
from kouxing.types import Bytes, Float

EYE_PX = (256, 128)
"""Width and height of one eye's picture."""
EYE_SPAN = (1.5, 0.75)
"""What it shows, in widths of the eye."""
EYE_GRID = (17, 11)
BALL = 0.62
"""Radius of the eye's front in widths of the opening."""
LOOK = {"eyeLookOut": (0.17, 0.0), "eyeLookIn": (-0.17, 0.0), "eyeLookUp": (0.0, 0.10), "eyeLookDown": (0.0, -0.12)}
"""How far the iris goes, in widths of the eye: outward and up."""
IRIS = {"Right": (468, 469, 470, 471, 472), "Left": (473, 474, 475, 476, 477)}
"""Mesh points of the irises: middle and rim."""

FULL_LIGHT = 0.36
"""Mean linear colour of skin in a well lit photo."""
SHADE = 0.8
"""Of the mouth on its inside."""
MOST_TEETH = 1.08
"""Widest row of teeth, in widths of the mean mouth."""
BEHIND, FLATTER = 0.06, 0.55
"""How far teeth stand behind the lips, in the mouth's widths, and how much of its depth their arch keeps: a photo's
mouth is a relief, and where the head is turned what lies deep slides out of it."""

RINGS = ((1.1, 0.85), (1.22, 0.55), (1.4, 0.25), (1.75, 0.05))
"""Around the face: size in the oval's, and the share of the oval's moves that the picture there makes."""

BAG = (
    (-0.07, 0.05, 1.0),
    (-0.2, 0.16, 1.0),
    (-0.36, 0.26, 0.95),
    (-0.7, 0.36, 0.8),
    (-1.1, 0.3, 0.5),
    (-1.3, 0.1, 0.4),
)
"""The mouth's inside in widths of the mouth: how far behind the lips, half its height, share of the lips' moves."""


@dataclass(frozen=True)
class Piece:
    """A part of the avatar: points ``[N, 3]`` metres, faces ``[F, 3]``, moves ``[52, N, 3]``, and its looks.

    Attributes:
        uv: ``[N, 2]`` in its picture, or None. colours: ``[N, 3]`` linear, or None.
    """

    points: Float
    faces: NDArray[np.int64]
    moves: Float
    uv: Float | None = None
    colours: Float | None = None


def net(rows: int, columns: int, closed: bool) -> NDArray[np.int64]:
    """Triangles of a net of points; ``closed`` joins the last column to the first."""
    faces = []
    for i in range(rows - 1):
        for j in range(columns if closed else columns - 1):
            a, b = i * columns + j, i * columns + (j + 1) % columns
            faces += [(a, a + columns, b), (b, a + columns, b + columns)]
    return np.array(faces)


def surroundings(face: Face, side_px: int, corner_px: Float) -> Piece:
    """The picture around the face: rings from its oval to the square's edge, ever further back and ever stiller.

    Args:
        side_px: side of the square that is shown. corner_px: ``[2]`` its corner in the photo.
    """
    oval = np.array(OVAL)
    pixels, depth = face.pixels[oval], face.points[oval, 2]
    # The rest shape may differ from the photo (an open mouth is closed): the seam goes with the rest shape.
    middle = pixels.mean(0)
    back = float(face.points[:, 2].min()) - 0.012
    low, high = corner_px + 1.0, corner_px + side_px - 1.0
    points, moves, uv = [face.points[oval]], [face.moves[:, oval]], [pixels]
    shift = face.points[oval] - face.of_pixels(pixels, depth)
    for number, (size, share) in enumerate(RINGS, 1):
        ring = np.clip(middle + (pixels - middle) * size, low, high)
        z = depth + (back - depth) * number / len(RINGS)
        points.append(face.of_pixels(ring, z) + share * shift)
        moves.append(share * face.moves[:, oval] * [1, 1, 0.6])
        uv.append(ring)
    way = pixels - middle
    far = np.where(way > 0, high - middle, low - middle) / np.where(np.abs(way) < 1e-6, 1e-6, way)
    edge = np.clip(middle + way * far.min(1, keepdims=True), low, high)
    for spot in (low, high, np.array([low[0], high[1]]), np.array([high[0], low[1]])):
        edge[np.argmin(np.linalg.norm(edge - spot, axis=1))] = spot
    points.append(face.of_pixels(edge, back))
    moves.append(np.zeros_like(moves[0]))
    uv.append(edge)
    faces = net(len(points), len(oval), True)
    where = (np.concatenate(uv) - corner_px) / side_px
    return Piece(np.concatenate(points), faces, np.concatenate(moves, 1), where)


def eye(face: Face, photo: Bytes, side: str) -> tuple[Piece, Bytes]:
    """One eye: a curved patch behind the lids, and its picture ``[128, 256, 3]`` with the iris made whole.

    Args:
        photo: ``[H, W, 3]`` RGB. side: ``Left`` or ``Right``, the person's.
    """
    row = LEFT_LIDS if side == "Left" else RIGHT_LIDS
    rim = face.points[list(row)]
    outer, inner = rim[0], rim[len(row) // 2]
    # Along the eye in the person's left direction, square to where the head faces.
    across = (outer - inner) * (1 if side == "Left" else -1)
    x = across - (across @ face.turn[:, 2]) * face.turn[:, 2]
    wide = float(np.linalg.norm(x))
    x = x / wide
    y = np.cross(face.turn[:, 2], x)
    frame = np.stack([x, y, face.turn[:, 2]], 1)
    middle = (outer + inner) / 2
    local = (rim - middle) @ frame
    lift = float(local[:, 1].mean())
    curve = (local[:, 0] ** 2 + (local[:, 1] - lift) ** 2) / (2 * BALL * wide)
    front = float((local[:, 2] + curve).min()) - 0.03 * wide
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, EYE_GRID[0]), np.linspace(0.5, -0.5, EYE_GRID[1]))
    flat = np.stack([u.ravel() * EYE_SPAN[0] * wide, v.ravel() * EYE_SPAN[1] * wide], 1)

    def patch(shift: NDArray[Any]) -> Float:
        place = flat + shift
        z = front - np.sum(place**2, 1) / (2 * BALL * wide)
        return np.asarray(middle + np.column_stack([place[:, 0], place[:, 1] + lift, z]) @ frame.T)

    rest = patch(np.zeros(2))
    moves = np.zeros((len(COEFFICIENTS), len(rest), 3), np.float32)
    outward = 1.0 if side == "Left" else -1.0
    for name, (aside, up) in LOOK.items():
        moves[PLACE[name + side]] = patch(np.array([aside * outward, up]) * wide) - rest
    shown = _eye_picture(face, photo, row, IRIS[side])
    uv = np.column_stack([u.ravel() + 0.5, 0.5 - v.ravel()])
    return Piece(rest, net(EYE_GRID[1], EYE_GRID[0], False), moves, uv), shown


def _eye_picture(face: Face, photo: Bytes, row: tuple[int, ...], iris: tuple[int, ...]) -> Bytes:
    """The eye cut out of the photo and continued under the lids."""
    rim, ball = face.pixels[list(row)], face.pixels[list(iris)]
    left_to_right = rim[[0, len(row) // 2]]
    left_to_right = left_to_right[np.argsort(left_to_right[:, 0])]
    axis = left_to_right[1] - left_to_right[0]
    wide = float(np.linalg.norm(axis))
    x = axis / wide
    y = np.array([-x[1], x[0]])
    corners = left_to_right.mean(0)
    lift = ((rim - corners) @ y).mean()
    scale = EYE_PX[0] / (EYE_SPAN[0] * wide)
    matrix = np.zeros((2, 3))
    matrix[:, :2] = np.stack([x, y]) * scale
    matrix[:, 2] = np.array(EYE_PX) / 2 - matrix[:, :2] @ (corners + lift * y)
    picture = cv2.warpAffine(photo, matrix, EYE_PX, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    here = picture.astype(np.float32)
    opening = np.zeros((EYE_PX[1], EYE_PX[0]), np.uint8)
    cv2.fillPoly(opening, [np.round(rim @ matrix[:, :2].T + matrix[:, 2]).astype(np.int32)], (1,))
    thin = max(round(0.025 * EYE_PX[0]), 2)
    opening = np.asarray(cv2.erode(opening, np.ones((thin, thin), np.uint8)), np.uint8)
    spot = ball @ matrix[:, :2].T + matrix[:, 2]
    radius = float(np.linalg.norm(spot[1:] - spot[0], axis=1).mean())
    yy, xx = np.mgrid[: EYE_PX[1], : EYE_PX[0]]
    far = np.hypot(xx - spot[0, 0], yy - spot[0, 1]) / max(radius, 1.0)
    white = _spread(here, (opening > 0) & (far > 1.15), radius)
    coloured = _around(here, opening > 0, far)
    made = np.where((far < 1)[..., None], coloured, white)
    made = cv2.GaussianBlur(made, (0, 0), 1.2)
    keep = cv2.GaussianBlur(opening.astype(np.float32), (0, 0), 2.0)[..., None] * (opening > 0)[..., None]
    return np.asarray(np.clip(here * keep + made * (1 - keep), 0, 255), np.uint8)


def _spread(picture: Float, known: NDArray[np.bool_], radius: float) -> Float:
    """The white of the eye, continued smoothly from where it shows; plain where it hardly does."""
    if known.sum() < 30:
        return np.full_like(picture, 200.0)
    weight = known.astype(np.float32)
    plain = np.median(picture[known], axis=0)
    blur = max(radius * 0.6, 2.0)
    total = cv2.GaussianBlur(weight, (0, 0), blur)[..., None]
    smooth = cv2.GaussianBlur(picture * weight[..., None], (0, 0), blur)
    return np.asarray((smooth + 0.02 * plain) / (total + 0.02))


def _around(picture: Float, known: NDArray[np.bool_], far: Float) -> Float:
    """The iris, the hidden part as bright as what shows at the same distance from its middle."""
    out = np.zeros_like(picture)
    bins = 14
    place = np.minimum((far * bins).astype(int), bins)
    last = np.median(picture[known & (far < 1)], axis=0) if (known & (far < 1)).any() else np.array([60.0, 45.0, 35.0])
    for number in reversed(range(bins)):
        ring = place == number
        if (ring & known).sum() >= 3:
            last = np.median(picture[ring & known], axis=0)
        out[ring] = last
    return out


def _light(face: Face, photo: Bytes) -> Float:
    """``[3]`` linear: how bright and of which colour the photo's light is, told by the skin; 1 where it is full.

    The teeth have a light of their own and must not outshine a face in the dusk.
    """
    spots = np.clip(np.rint(face.pixels[:POINTS]), 0, [photo.shape[1] - 1, photo.shape[0] - 1]).astype(int)
    skin = np.median(linear(photo[spots[:, 1], spots[:, 0]]), axis=0)
    bright = max(float(skin.mean()), 1e-3)
    tint = np.clip((skin / bright) ** 0.3, 0.75, 1.15)
    return np.asarray(tint * np.sqrt(np.clip(bright / FULL_LIGHT, 0.25, 1.0)))


def mouth(face: Face, photo: Bytes) -> list[tuple[str, Piece]]:
    """The bag behind the lips, and the bundled head's teeth and tongue in it, with their material's names."""
    light = _light(face, photo)
    ring = list(INNER_LIP)
    lips = face.points[ring]
    right, left = lips[0], lips[len(ring) // 2]
    wide = float(np.linalg.norm(left - right))
    up, front = face.turn[:, 1], face.turn[:, 2]
    # Above the corners' line or below: the first half of the ring is the lower lip.
    angle = 2 * np.pi * np.arange(len(ring)) / len(ring)
    rise = -np.sign(np.round(np.sin(angle), 6)) * np.abs(np.sin(angle)) ** 0.6
    # Begun a little outside, under the lips: where the head is turned nothing is seen between them and it.
    begin = lips + 0.06 * (lips - lips.mean(0)) - 0.0015 * front
    points, moves, tones = [begin], [face.moves[:, ring]], [np.array([0.20, 0.035, 0.03])]
    for number, (behind, high, share) in enumerate(BAG):
        points.append(lips + wide * (behind * front + high * rise[:, None] * up))
        moves.append(share * face.moves[:, ring])
        tones.append(np.array([0.16, 0.025, 0.022]) * (1 - 0.16 * number))
    end = points[-1].mean(0, keepdims=True)
    count = len(points) * len(ring)
    last = count - len(ring)
    cap = np.array([(last + j, last + (j + 1) % len(ring), count) for j in range(len(ring))])
    bag = Piece(
        np.concatenate([*points, end]),
        np.concatenate([net(len(points), len(ring), True), cap]),
        np.concatenate([*moves, moves[-1].mean(1, keepdims=True)], 1),
        colours=light * np.concatenate([np.tile(tone, (len(ring), 1)) for tone in tones] + [tones[-1][None]]),
    )
    return [("mouth", bag), *_borrowed(face, lips.mean(0), wide, light)]


def _borrowed(face: Face, middle: Float, wide: float, light: Float) -> list[tuple[str, Piece]]:
    """Teeth and tongue of the bundled head, as large as this mouth wants them, opening as far as this jaw does."""
    with as_file(files("kouxing") / "assets" / "head.glb") as path:
        if not path.is_file():
            raise WeightError(f"{path} is missing: install kouxing again")
        parts = morphs.load(path)
        told = read_glb(path).document["nodes"][0]["extras"]["mouth"]
    # A smile is wider than its teeth.
    mean = np.ptp(learned().shape[list(INNER_LIP), 0]) * EYE_M
    scale = min(wide, MOST_TEETH * mean) / told["width"]
    start = np.array(told["middle"])
    jaw = PLACE["jawOpen"]
    drop = np.linalg.norm(face.moves[jaw, 14] - face.moves[jaw, 13])
    teeth_front = max(float(part.points[:, 2].max()) for part in parts if part.name == "teeth")
    found = []
    for part in parts:
        if part.name not in ("teeth", "tongue"):
            continue
        moves = part.moves.toarray().reshape(-1, 3, len(COEFFICIENTS)).transpose(2, 0, 1) * scale
        placed = (part.points - start) * scale
        placed[:, 2] = FLATTER * (placed[:, 2] - scale * (teeth_front - start[2])) - BEHIND * wide
        moves[jaw] *= drop / max(float(np.linalg.norm(moves[jaw], axis=1).max()), 1e-6)
        points = placed @ face.turn.T + middle
        # The photo's mouth lies in a shadow that the picture shows and the teeth's own light would not.
        found.append(
            (part.name, Piece(points, part.faces, moves @ face.turn.T, colours=part.colours[:, :3] * SHADE * light))
        )
    return found
