"""Any GLB whose targets bear ARKit's names can be posed, whatever its nodes, order and spelling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatars import SQUARE, scene, square, two_squares
from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.errors import DataError, MediaError
from kouxing.export.glb import Glb, write_glb
from kouxing.infer import morphs


def weights(**values: float) -> np.ndarray:
    made = np.zeros(len(COEFFICIENTS), np.float32)
    for name, value in values.items():
        made[PLACE[name]] = value
    return made


def loaded(glb: Glb, folder: Path) -> list[morphs.Part]:
    write_glb(folder / "a.glb", glb)
    return morphs.load(folder / "a.glb")


def test_meshes_that_share_a_name_move_together_each_in_its_own_place(tmp_path: Path) -> None:
    left, right = loaded(two_squares(), tmp_path)
    np.testing.assert_allclose(left.points, SQUARE + np.array([-0.07, 0, 0]), atol=1e-6)
    posed = weights(jawOpen=0.5)
    np.testing.assert_allclose(left.posed(posed) - left.points, np.tile([0, -0.025, 0], (4, 1)), atol=1e-6)
    # The node's scale holds for its targets too.
    np.testing.assert_allclose(right.posed(posed) - right.points, np.tile([0, 0.05, 0], (4, 1)), atol=1e-6)


def test_a_target_that_is_none_of_the_52_keeps_the_weight_of_the_file(tmp_path: Path) -> None:
    glb = two_squares()
    glb.document["meshes"][0]["weights"] = [0.5, 0.9]
    left = loaded(glb, tmp_path)[0]
    np.testing.assert_allclose(left.posed(weights()), SQUARE + np.array([0.43, 0, 0]), atol=1e-6)


def test_nodes_in_nodes_and_turned_nodes(tmp_path: Path) -> None:
    glb = Glb({"asset": {"version": "2.0"}})
    mesh = square(glb, ["jawOpen"], [(1, 0, 0)], [1, 1, 1, 1])
    glb.append("nodes", {"mesh": mesh, "rotation": [0, 0, 0.5**0.5, 0.5**0.5]})
    scene(glb, [{"children": [0], "translation": [0, 3, 0]}])
    (part,) = loaded(glb, tmp_path)
    np.testing.assert_allclose(part.points.mean(0), [0, 3, 0], atol=1e-6)
    np.testing.assert_allclose(part.posed(weights(jawOpen=1)).mean(0), [0, 4, 0], atol=1e-6)


def test_a_skinned_mesh_stands_where_its_joints_are(tmp_path: Path) -> None:
    glb = Glb({"asset": {"version": "2.0"}})
    mesh = square(glb, ["jawOpen"], [(0, 1, 0)], [1, 1, 1, 1])
    attributes = glb.document["meshes"][mesh]["primitives"][0]["attributes"]
    attributes["JOINTS_0"] = glb.add_accessor(np.zeros((4, 4), np.uint8), "VEC4")
    attributes["WEIGHTS_0"] = glb.add_accessor(np.tile(np.array([1, 0, 0, 0], np.float32), (4, 1)), "VEC4")
    glb.append("skins", {"joints": [1]})
    # A skinned node's own place does not count (glTF 2.0, 3.7.3.3).
    scene(glb, [{"mesh": mesh, "skin": 0, "translation": [9, 9, 9]}, {"translation": [0, 1, 0], "scale": [2, 2, 2]}])
    (part,) = loaded(glb, tmp_path)
    np.testing.assert_allclose(part.points, SQUARE * 2 + np.array([0, 1, 0]), atol=1e-6)
    np.testing.assert_allclose(part.posed(weights(jawOpen=1)).mean(0), [0, 3, 0], atol=1e-6)


def test_a_texture_in_another_format_alone_is_left_out(tmp_path: Path) -> None:
    glb = two_squares()
    glb.document["textures"] = [{"extensions": {"EXT_texture_webp": {"source": 0}}}]
    material = glb.append("materials", {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}})
    glb.document["meshes"][0]["primitives"][0]["material"] = material
    assert loaded(glb, tmp_path)[0].texture is None


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    unnamed = scene(
        glb := Glb({"asset": {"version": "2.0"}}), [{"mesh": square(glb, ["a"], [(0, 1, 0)], [1, 1, 1, 1])}]
    )
    with pytest.raises(DataError, match="no morph targets with ARKit's names"):
        loaded(unnamed, tmp_path)
    with pytest.raises(MediaError, match="no triangles"):
        loaded(Glb({"asset": {"version": "2.0"}}), tmp_path)
    packed = two_squares()
    packed.document["extensionsRequired"] = ["KHR_materials_unlit", "KHR_draco_mesh_compression"]
    with pytest.raises(DataError, match="packed with KHR_draco_mesh_compression; export it without Draco or KTX2"):
        loaded(packed, tmp_path)
    looped = two_squares()
    looped.document["nodes"][0]["children"] = [0]
    with pytest.raises(MediaError, match="no valid glTF"):
        loaded(looped, tmp_path)
    holed = two_squares()
    primitive = holed.document["meshes"][0]["primitives"][0]
    points = np.array(SQUARE, np.float32)
    points[0] = np.nan
    primitive["attributes"]["POSITION"] = holed.add_accessor(points, "VEC3")
    with pytest.raises(MediaError, match=r"no valid glTF.*no numbers"):
        loaded(holed, tmp_path)
    outside = two_squares()
    outside.document["meshes"][0]["primitives"][0]["indices"] = outside.add_accessor(np.full(3, 9, np.uint16), "SCALAR")
    with pytest.raises(MediaError, match="no valid glTF"):
        loaded(outside, tmp_path)
