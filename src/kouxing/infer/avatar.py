"""A photo becomes a head that talks: ``avatar`` writes a GLB with ARKit's 52 morph targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kouxing.arkit import PLACE
from kouxing.errors import NoFaceError, OptionError
from kouxing.export.files import check_output
from kouxing.export.glb import Document, Glb, write_glb
from kouxing.export.meshes import Primitive, add_mesh
from kouxing.face.coefficients import Regressor
from kouxing.face.mesh import MeshTracker
from kouxing.infer.given import face_number
from kouxing.infer.portrait import Face, fit, uv_pixels
from kouxing.infer.portrait_parts import Piece, eye, mouth, surroundings
from kouxing.media.aside import keep_inputs, reserved
from kouxing.media.colour import to_rgb
from kouxing.media.reader import probe, read_video
from kouxing.types import Bytes, Float

SPAN = 2.8
"""Side of the picture around the face, in heights of the face."""
TEXTURES_PX = (256, 512, 1024, 2048)
LEAST_FACE_PX = 60
JPEG_QUALITY = 90
SHUT = 0.6
"""eyeBlink of both eyes from which on they are closed: looking down stays under it."""
UNLIT = "KHR_materials_unlit"


@dataclass(frozen=True)
class AvatarReport:
    """What was made.

    Attributes:
        output: the GLB. bytes: its size. points: of all its meshes. face_px: width of the face in the photo.
        targets: morph targets, 52. warnings: what may look wrong, one line each.
    """

    output: Path
    bytes: int
    points: int
    face_px: float
    targets: int
    warnings: tuple[str, ...] = ()


def avatar(
    photo: Path, out: Path, *, face_index: int = 0, texture_px: int = 1024, overwrite: bool = False
) -> AvatarReport:
    """Make a talking head out of a photo.

    Args:
        photo: picture (or video, whose first frame counts) with a face, best from the front with even light.
        out: the ``.glb`` to write.
        face_index: which face, from 0, the largest.
        texture_px: largest side of the picture in the file: 256, 512, 1024 or 2048.
        overwrite: replace ``out`` if it is there.

    Raises:
        MediaError: the photo cannot be read. NoFaceError: no such face in it, or one smaller than 60 pixels.
        OptionError: a value out of range. OutputError: ``out`` cannot be written.
    """
    photo, out, face_index = Path(photo), Path(out), face_number(face_index)
    if texture_px not in TEXTURES_PX:
        raise OptionError(f"texture size {texture_px}: choose one of {', '.join(map(str, TEXTURES_PX))}")
    check_output(out, overwrite, (".glb",))
    keep_inputs(out, photo)
    with reserved(out):
        return _made(photo, out, face_index, texture_px)


def _made(photo: Path, out: Path, face_index: int, texture_px: int) -> AvatarReport:
    image = _first_picture(photo)
    points = _mesh(image, photo, face_index)
    values, head, _ = Regressor(threads=1).read(points[None])
    face = fit(points, values[0])
    glb = build(face, image, texture_px)
    write_glb(out, glb)
    meshes = glb.document["meshes"]
    accessors = glb.document["accessors"]
    count = sum(accessors[p["attributes"]["POSITION"]]["count"] for mesh in meshes for p in mesh["primitives"])
    wide = float(np.ptp(points[:468, 0]))
    return AvatarReport(
        out, out.stat().st_size, count, wide, len(meshes[0]["weights"]), _doubts(wide, head[0], values[0])
    )


def _doubts(wide: float, head: Float, values: Float) -> tuple[str, ...]:
    told = []
    if min(values[PLACE["eyeBlinkLeft"]], values[PLACE["eyeBlinkRight"]]) > SHUT:
        told.append("the eyes are closed in it, and stay so; take a photo with open eyes")
    if wide < 150:
        told.append(f"the face is only {wide:.0f} pixels wide; a larger one gives a sharper avatar")
    turned = float(np.degrees(np.abs(head[:2]).max()))
    if turned > 20:
        told.append(f"the head is turned by {turned:.0f} degrees; a photo from the front gives a better avatar")
    return tuple(told)


def _first_picture(photo: Path) -> Bytes:
    frames = read_video(photo)
    try:
        image = to_rgb(next(iter(frames)))
    except StopIteration:
        raise NoFaceError(f"{photo} has no picture; choose a photo with a face") from None
    info = probe(photo)
    size = (info.shown_width, info.height)
    # A frame of a video may have other pixels than square ones.
    return image if info.shown_width == info.width else np.asarray(cv2.resize(image, size), np.uint8)


def _mesh(image: Bytes, photo: Path, face_index: int) -> Float:
    with MeshTracker(face_index) as tracker:
        tracker.push(image)
        points = tracker.points
        faces = tracker.faces
    if points is None:
        which = f"face {face_index} (there are {faces})" if face_index else "a face"
        raise NoFaceError(f"{photo}: {which} was not found; choose a photo that shows it from the front")
    if np.ptp(points[:468, 0]) < LEAST_FACE_PX:
        raise NoFaceError(f"{photo}: the face is under {LEAST_FACE_PX} pixels wide; choose a larger picture of it")
    return points


def build(face: Face, image: Bytes, texture_px: int) -> Glb:
    """The avatar of a fitted face as a GLB.

    Args:
        face: from ``portrait.fit``. image: ``[H, W, 3]`` the photo. texture_px: largest side of its picture.
    """
    middle, height = face.pixels[:468].mean(0), float(np.ptp(face.pixels[:468, 1]))
    side = round(height * SPAN)
    corner = np.round(middle - side / 2)
    picture = _square(image, corner, side, texture_px)
    glb = Glb({"asset": {"version": "2.0", "generator": "kouxing avatar"}})
    glb.document["extensionsUsed"] = [UNLIT]
    eyes, looks = zip(*(eye(face, image, name) for name in ("Left", "Right")), strict=True)
    photo = _photo_material(glb, "photo", picture)
    looking = _photo_material(glb, "eyes", np.hstack(looks))
    skin = Piece(face.points, face.faces, face.moves, (uv_pixels(face) - corner) / side)
    around = surroundings(face, side, corner)
    halves = [_half(piece, number) for number, piece in enumerate(eyes)]
    primitives = [_joined([skin, around], photo, lit=False), _joined(halves, looking, lit=False)]
    for name, piece in mouth(face, image):
        metal = {"metallicFactor": 0.0, "roughnessFactor": 0.45 if name == "teeth" else 0.7}
        material = glb.append(
            "materials", {"name": name, "pbrMetallicRoughness": metal, "doubleSided": name == "mouth"}
        )
        primitives.append(_joined([piece], material, lit=True))
    mesh = add_mesh(glb, primitives, "face")
    node = glb.append("nodes", {"name": "face", "mesh": mesh})
    glb.document["scene"] = glb.append("scenes", {"nodes": [node]})
    return glb


def _square(image: Bytes, corner: Float, side: int, texture_px: int) -> Bytes:
    """The square of the photo that is shown; what lies beyond its edge continues the edge."""
    size = max(min(texture_px, 1 << (side - 1).bit_length()), TEXTURES_PX[0])
    scale = size / side
    matrix = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    if scale < 0.5:
        shrunk = cv2.resize(image, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        matrix[:, :2] /= 2 * scale
        image = np.asarray(shrunk, np.uint8)
    # Area averaging is no choice of warpAffine: halves are as good.
    way = cv2.INTER_LINEAR if way == cv2.INTER_AREA else way
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=way, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _photo_material(glb: Glb, name: str, picture: Bytes) -> int:
    """A picture as a material that shows it as it is; returns the material's number."""
    done, packed = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise AssertionError("OpenCV cannot write JPEG")
    image = glb.append("images", {"bufferView": glb.add_view(packed.tobytes()), "mimeType": "image/jpeg", "name": name})
    sampler = 0
    if "samplers" not in glb.document:
        sampler = glb.append("samplers", {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071})
    texture = glb.append("textures", {"source": image, "sampler": sampler})
    material: Document = {
        "name": name,
        "pbrMetallicRoughness": {
            "baseColorTexture": {"index": texture}, "metallicFactor": 0.0, "roughnessFactor": 1.0
        },
        "extensions": {UNLIT: {}},
        "doubleSided": True,
    }  # fmt: skip
    return glb.append("materials", material)


def _half(piece: Piece, number: int) -> Piece:
    """An eye whose picture is the left or the right half of a common one."""
    assert piece.uv is not None
    return Piece(piece.points, piece.faces, piece.moves, piece.uv * [0.5, 1.0] + [0.5 * number, 0.0])


def _joined(pieces: Sequence[Piece], material: int, lit: bool) -> Primitive:
    starts = np.cumsum([0, *(len(piece.points) for piece in pieces)])
    uv, colours = [p.uv for p in pieces if p.uv is not None], [p.colours for p in pieces if p.colours is not None]
    return Primitive(
        points=np.concatenate([piece.points for piece in pieces]),
        faces=np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=False)]),
        moves=np.concatenate([piece.moves for piece in pieces], 1),
        material=material,
        uv=np.concatenate(uv) if uv else None,
        colours=np.concatenate(colours) if colours else None,
        lit=lit,
    )
