"""Pictures of an avatar without a display or a graphics card: Panda3D's software pipe fills the triangles.

Light is reckoned here, per point, in linear colour: a key light, a fill light, sky and ground, and a highlight; the
pipe only interpolates. Everything is drawn twice as large and averaged down, which the pipe cannot do by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from kouxing.arkit import COEFFICIENTS
from kouxing.errors import OptionError
from kouxing.infer.morphs import Part
from kouxing.types import Bytes, CoefficientTrack, Float

FINER = 2
SIDE_PX = 512
SMALLEST_PX, LARGEST_PX = 64, 2048
LENS_DEGREES = 22.0
LIVELY = 0.15
"""The face is what some coefficient moves by at least so much of the largest move."""
FACE_SHARE = 0.6
"""Height of the moving face in the picture's."""
HIGHER = 0.09
"""Heights of the moving face that the middle of the picture lies above its middle: the brow has a head above it."""

BACKGROUND = (0.86, 0.88, 0.91)

KEY, KEY_COLOUR = np.array([-0.45, 0.55, 0.75]), np.array([1.0, 0.97, 0.92]) * 0.78
FILL, FILL_COLOUR = np.array([0.8, 0.1, 0.55]), np.array([0.85, 0.92, 1.0]) * 0.26
RIM, RIM_COLOUR = np.array([0.5, 0.5, -0.8]), np.array([1.0, 1.0, 1.0]) * 0.25
SKY, GROUND = np.array([0.95, 0.98, 1.0]) * 0.36, np.array([1.0, 0.9, 0.85]) * 0.20

SETTINGS = """
load-display p3tinydisplay
aux-display
window-type offscreen
audio-library-name null
notify-level fatal
gl-coordinate-system default
textures-power-2 down
"""


@dataclass
class _Drawn:
    """A part with what its light needs, and its place in the scene."""

    part: Part
    weld: csr_matrix
    incidence: csr_matrix
    albedo: Float
    vertices: Any
    rows: NDArray[Any]


class Renderer:
    """Draws one avatar; use it as a context manager, from one thread.

    Args:
        parts: from ``morphs.load``.
        side_px: width and height of the pictures, even, 64..2048.

    Raises:
        OptionError: Panda3D is not installed, or the size is out of range.
    """

    def __init__(self, parts: Sequence[Part], side_px: int = SIDE_PX) -> None:
        if not SMALLEST_PX <= side_px <= LARGEST_PX or side_px % 2:
            raise OptionError(f"picture size {side_px}: give an even number of pixels, {SMALLEST_PX}..{LARGEST_PX}")
        self.side_px = side_px
        self._core = _panda()
        self._open()
        self._drawn = [self._add(part) for part in parts if len(part.faces)]
        self._aim(parts)

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the picture's memory."""
        self._engine.remove_all_windows()

    def picture(self, weights: Float) -> Bytes:
        """One picture.

        Args:
            weights: ``[52]`` as ``arkit.COEFFICIENTS``.

        Returns:
            ``[side_px, side_px, 3] uint8`` RGB.
        """
        if weights.shape != (len(COEFFICIENTS),):
            raise ValueError(f"weights must be [{len(COEFFICIENTS)}], got {weights.shape}")
        for drawn in self._drawn:
            self._pose(drawn, weights)
        self._engine.render_frame()
        side = self.side_px * FINER
        raw = np.frombuffer(self._memory.get_ram_image(), np.uint8).reshape(side, side, 4)
        small = cv2.resize(raw, (self.side_px, self.side_px), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(small[::-1, :, 2::-1])

    def frames(self, track: CoefficientTrack) -> Iterator[Bytes]:
        """A picture for each row of a track."""
        return (self.picture(row) for row in track.values)

    def _open(self) -> None:
        core = self._core
        pipe = core.GraphicsPipeSelection.get_global_ptr().make_pipe("TinyOffscreenGraphicsPipe")
        if pipe is None:
            raise OptionError("Panda3D's software renderer cannot start: on Debian or Ubuntu apt-get install libx11-6")
        self._engine = core.GraphicsEngine(pipe)
        buffer_format = core.FrameBufferProperties()
        buffer_format.set_rgb_color(True)
        buffer_format.set_depth_bits(24)
        size = core.WindowProperties.size(self.side_px * FINER, self.side_px * FINER)
        buffer = self._engine.make_output(pipe, "avatar", 0, buffer_format, size, core.GraphicsPipe.BF_refuse_window)
        self._memory = core.Texture()
        buffer.add_render_texture(self._memory, core.GraphicsOutput.RTM_copy_ram, core.GraphicsOutput.RTP_color)
        buffer.set_clear_color(core.LColor(*BACKGROUND, 1))
        self._root = core.NodePath("root")
        self._camera = self._root.attach_new_node(core.Camera("camera"))
        lens = core.PerspectiveLens()
        lens.set_fov(LENS_DEGREES)
        self._lens = lens
        self._camera.node().set_lens(lens)
        buffer.make_display_region().set_camera(self._camera)

    def _aim(self, parts: Sequence[Part]) -> None:
        """Look at what the coefficients move, at eye level, from the front."""
        reach = [np.abs(part.moves).max(1).toarray().reshape(-1, 3).max(1) for part in parts]
        least = LIVELY * max((float(row.max()) for row in reach if len(row)), default=0.0)
        moved = [part.points[row >= least] for part, row in zip(parts, reach, strict=True)]
        points = np.concatenate(moved)
        low, high = points.min(0), points.max(0)
        height = max(float(high[1] - low[1]), float(high[0] - low[0]), 1e-6)
        middle = (low + high) / 2
        reach = height / FACE_SHARE / 2 / np.tan(np.radians(LENS_DEGREES / 2))
        eye = np.array([middle[0], middle[1] + HIGHER * height, high[2] + reach])
        self._lens.set_near_far(reach / 20, reach * 20)
        self._eye = eye.astype(np.float32)
        # glTF has y up and the face towards +z, Panda3D z up and looks along +y.
        self._camera.set_pos(float(eye[0]), float(-eye[2]), float(eye[1]))

    def _add(self, part: Part) -> _Drawn:
        core = self._core
        textured = part.texture is not None and part.uv is not None
        layout = core.GeomVertexFormat.get_v3c4t2() if textured else core.GeomVertexFormat.get_v3c4()
        data = core.GeomVertexData("part", layout, core.Geom.UH_dynamic)
        data.unclean_set_num_rows(len(part.points))
        fields: list[Any] = [("p", "<f4", 3), ("c", "u1", 4), *([("t", "<f4", 2)] if textured else [])]
        rows = np.zeros(len(part.points), np.dtype(fields))
        if textured and part.uv is not None:
            rows["t"] = part.uv * np.array([1, -1], np.float32) + np.array([0, 1], np.float32)
        triangles = core.GeomTriangles(core.Geom.UH_static)
        triangles.set_index_type(core.GeomEnums.NT_uint32)
        indices = triangles.modify_vertices()
        indices.unclean_set_num_rows(part.faces.size)
        memoryview(indices).cast("B")[:] = part.faces.astype("<u4").tobytes()
        geometry = core.Geom(data)
        geometry.add_primitive(triangles)
        node = core.GeomNode("part")
        node.add_geom(geometry)
        path = self._root.attach_new_node(node)
        path.set_two_sided(part.double_sided)
        node.set_bounds(core.OmniBoundingVolume())
        node.set_final(True)
        if textured and part.texture is not None:
            path.set_texture(self._texture(part.texture))
        weld = _weld(part)
        incidence = _incidence(part.faces, weld)
        return _Drawn(part, weld, incidence, part.colours[:, :3].astype(np.float32), node, rows)

    def _texture(self, image: Bytes) -> Any:
        core = self._core
        texture = core.Texture()
        texture.setup_2d_texture(image.shape[1], image.shape[0], core.Texture.T_unsigned_byte, core.Texture.F_rgb)
        texture.set_ram_image(np.ascontiguousarray(image[::-1, :, ::-1]).tobytes())
        texture.set_minfilter(core.SamplerState.FT_linear_mipmap_linear)
        texture.set_magfilter(core.SamplerState.FT_linear)
        return texture

    def _pose(self, drawn: _Drawn, weights: Float) -> None:
        points = drawn.part.posed(weights)
        a, b, c = (points[drawn.part.faces[:, k]] for k in range(3))
        normals = drawn.weld @ (drawn.incidence @ np.cross(b - a, c - a))
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        rows = drawn.rows
        rows["p"][:, 0], rows["p"][:, 1], rows["p"][:, 2] = points[:, 0], -points[:, 2], points[:, 1]
        lit = self._light(points, normals.astype(np.float32), drawn) if drawn.part.lit else drawn.albedo
        rows["c"][:, :3] = _bytes(lit)
        rows["c"][:, 3] = 255
        vertices = drawn.vertices.modify_geom(0).modify_vertex_data().modify_array(0)
        memoryview(vertices).cast("B")[:] = rows.tobytes()

    def _light(self, points: Float, normals: Float, drawn: _Drawn) -> Float:
        view = self._eye - points
        view /= np.maximum(np.linalg.norm(view, axis=1, keepdims=True), 1e-9)
        if drawn.part.double_sided:
            normals = np.where(np.sum(normals * view, 1, keepdims=True) < 0, -normals, normals)
        sky = 0.5 + 0.5 * normals[:, 1:2]
        light = sky * SKY + (1 - sky) * GROUND
        for way, colour in ((KEY, KEY_COLOUR), (FILL, FILL_COLOUR), (RIM, RIM_COLOUR)):
            toward = way / np.linalg.norm(way)
            # Light creeps a little around skin: a soft edge of the shadow instead of a hard one.
            light = light + np.clip((normals @ toward + 0.25) / 1.25, 0, None)[:, None] * colour
        shine = (1 - drawn.part.roughness) ** 2
        half = KEY / np.linalg.norm(KEY) + view
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        power = 2 / max(drawn.part.roughness**4, 1e-3)
        gleam = shine * np.clip(np.sum(normals * half, 1, keepdims=True), 0, 1) ** power
        return np.asarray(drawn.albedo * light + gleam * 0.9, np.float32)


def _bytes(linear: Float) -> Bytes:
    """Linear light -> sRGB bytes, bright values rolled off instead of cut; 1 stays 1."""
    soft = np.where(linear > 0.8, 0.8 + 0.2 * np.tanh((linear - 0.8) / 0.2), linear)
    soft = np.where(linear == 1, 1.0, soft)
    curve = np.where(soft <= 0.0031308, 12.92 * soft, 1.055 * np.maximum(soft, 1e-6) ** (1 / 2.4) - 0.055)
    return np.asarray(np.clip(curve * 255 + 0.5, 0, 255), np.uint8)


def _weld(part: Part) -> csr_matrix:
    """``[N, W]``: which points share one normal (the same place and, where told, the same normal at rest)."""
    scale = max(float(np.ptp(part.points, axis=0).max()), 1e-9)
    key = np.round(part.points / scale * 1e5)
    if part.normals is not None:
        key = np.concatenate([key, np.round(part.normals * 8)], 1)
    _, group = np.unique(key, axis=0, return_inverse=True)
    group = group.reshape(-1)
    count = len(group)
    return csr_matrix((np.ones(count, np.float32), (np.arange(count), group)), (count, int(group.max()) + 1))


def _incidence(faces: NDArray[np.int64], weld: csr_matrix) -> csr_matrix:
    """``[W, F]``: the faces around each welded point."""
    count = len(faces)
    corners = csr_matrix(
        (np.ones(3 * count, np.float32), (faces.reshape(-1), np.repeat(np.arange(count), 3))), (weld.shape[0], count)
    )
    return (weld.T @ corners).tocsr()


def check() -> None:
    """Complain before any work is done.

    Raises:
        OptionError: Panda3D is not installed.
    """
    _panda()


def _panda() -> Any:
    try:
        from panda3d import core
    except ImportError as error:
        raise OptionError("pictures of an avatar need Panda3D: pip install 'kouxing[render]'") from error
    core.load_prc_file_data("", SETTINGS)
    return core
