"""The bundled head does what each coefficient's name says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from faces3d import covered, gap, named, pose, rims
from kouxing.arkit import COEFFICIENTS, mirrored
from kouxing.export.glb import read_glb
from kouxing.infer import morphs

ROOT = Path(__file__).parents[2]
HEAD = ROOT / "src/kouxing/assets/head.glb"


@pytest.fixture(scope="module")
def parts() -> list[morphs.Part]:
    return morphs.load(HEAD)


def test_it_is_small_and_has_exactly_the_52_names_in_order() -> None:
    assert HEAD.stat().st_size <= 1.5e6
    (mesh,) = read_glb(HEAD).document["meshes"]
    assert mesh["extras"]["targetNames"] == list(COEFFICIENTS)
    assert all(len(primitive["targets"]) == len(COEFFICIENTS) for primitive in mesh["primitives"])


def test_it_is_what_its_recipe_makes(tmp_path: Path, parts: list[morphs.Part]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(ROOT / "recipes/head"), str(tmp_path / "head.glb")]
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
    for old, new in zip(parts, morphs.load(tmp_path / "head.glb"), strict=True):
        assert old.points.shape == new.points.shape
        assert np.abs(old.points - new.points).max() < 1e-5
        assert abs(old.moves - new.moves).max() < 1e-5


def test_it_is_as_large_as_a_head(parts: list[morphs.Part]) -> None:
    eyes = named(parts, "eyes").points
    between = eyes[eyes[:, 0] > 0].mean(0) - eyes[eyes[:, 0] < 0].mean(0)
    assert 0.055 < between[0] < 0.075 and abs(between[1]) < 1e-6
    # The face looks along +z.
    assert named(parts, "skin").points[:, 2].max() > 0.08


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_every_coefficient_moves_its_own_part_of_the_face(name: str, parts: list[morphs.Part]) -> None:
    skin = named(parts, "skin")
    moved = skin.posed(pose(**{name: 1.0})) - skin.points
    length = np.linalg.norm(moved, axis=1)
    eyes = named(parts, "eyes")
    look = np.linalg.norm(eyes.posed(pose(**{name: 1.0})) - eyes.points, axis=1)
    assert 0.0008 < max(length.max(), look.max()) < 0.06
    places = skin.points[length > 0.3 * length.max()]
    mouth_y, eye_y = -0.052, 0.010
    if name.startswith(("jaw", "mouth", "tongue")):
        assert places[:, 1].max() < eye_y - 0.01 and look.max() == 0
    if name.startswith("brow"):
        assert places[:, 1].min() > eye_y
    if name.startswith("eye"):
        assert places[:, 1].min() > mouth_y + 0.02
        assert (look.max() > 0.003) == name.startswith("eyeLook")
    for side, sign in (("Left", 1), ("Right", -1)):
        # jawLeft and mouthLeft are ways to go, not halves of the face.
        if name.endswith(side) and name not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
            assert (places[:, 0] * sign).mean() > 0.005


@pytest.mark.parametrize("name", [name for name in COEFFICIENTS if mirrored(name) != name and name.endswith("Left")])
def test_left_and_right_mirror_each_other(name: str, parts: list[morphs.Part]) -> None:
    skin = named(parts, "skin")
    flip = np.array([-1, 1, 1])
    far, other = cKDTree(skin.points).query(skin.points * flip)
    twins = far < 1e-4
    assert twins.mean() > 0.3
    one = skin.posed(pose(**{name: 1.0})) - skin.points
    two = skin.posed(pose(**{mirrored(name): 1.0})) - skin.points
    # Upper and lower lip touch at rest, so a point's twin may be either: the sum over the face does not care.
    np.testing.assert_allclose(one[twins].sum(0) * flip, two[other[twins]].sum(0), rtol=0.06, atol=2e-2)


def test_directions(parts: list[morphs.Part]) -> None:
    skin = named(parts, "skin")

    def mean(name: str) -> np.ndarray:
        moved = skin.posed(pose(**{name: 1.0})) - skin.points
        length = np.linalg.norm(moved, axis=1)
        return np.asarray(moved[length > 0.5 * length.max()].mean(0))

    assert mean("jawOpen")[1] < -0.01 and mean("jawLeft")[0] > 0.003 and mean("jawForward")[2] > 0.003
    assert mean("mouthLeft")[0] > 0.004 and mean("mouthRight")[0] < -0.004
    assert mean("mouthSmileLeft")[1] > 0.003 and mean("mouthSmileLeft")[0] > 0.003
    assert mean("mouthFrownLeft")[1] < -0.003 and mean("mouthPucker")[2] > 0.003
    assert mean("browInnerUp")[1] > 0.003 and mean("browDownLeft")[1] < -0.003
    assert mean("cheekPuff")[2] > 0.002 and mean("noseSneerLeft")[1] > 0.001
    eyes = named(parts, "eyes")
    front = eyes.points[:, 2] > eyes.points[:, 2].max() - 1e-3
    for name, axis, sign in (
        ("eyeLookUpLeft", 1, 1), ("eyeLookDownLeft", 1, -1), ("eyeLookOutLeft", 0, 1), ("eyeLookInLeft", 0, -1),
        ("eyeLookOutRight", 0, -1), ("eyeLookInRight", 0, 1),
    ):  # fmt: skip
        half = front & ((eyes.points[:, 0] > 0) == name.endswith("Left"))
        assert sign * (eyes.posed(pose(**{name: 1.0})) - eyes.points)[half].mean(0)[axis] > 0.002, name


def test_the_jaw_takes_lower_teeth_and_tongue_along_and_leaves_the_upper_teeth(parts: list[morphs.Part]) -> None:
    teeth, tongue = named(parts, "teeth"), named(parts, "tongue")
    drop = (teeth.posed(pose(jawOpen=1)) - teeth.points)[:, 1]
    upper = teeth.points[:, 1] > -0.0525
    assert np.abs(drop[upper & (teeth.points[:, 1] > -0.050)]).max() == 0
    front = teeth.points[:, 2] > 0.055
    assert drop[front & (teeth.points[:, 1] < -0.056)].max() < -0.012
    tip = tongue.points[:, 2] > tongue.points[:, 2].max() - 0.01
    assert (tongue.posed(pose(jawOpen=1)) - tongue.points)[tip, 1].max() < -0.010
    assert (tongue.posed(pose(tongueOut=1)) - tongue.points)[tip, 2].min() > 0.015


def test_lips_touch_at_rest_part_with_the_jaw_and_close_over_an_open_jaw(parts: list[morphs.Part]) -> None:
    skin = named(parts, "skin")
    pairs = rims(skin)
    assert len(pairs) > 15
    assert gap(skin, pairs, pose()) < 1e-4
    assert 0.015 < gap(skin, pairs, pose(jawOpen=1)) < 0.04
    for amount in (0.2, 0.6, 1.0):
        assert gap(skin, pairs, pose(jawOpen=amount, mouthClose=amount)) < 2e-4


def test_lids_close_over_the_eyes_and_open_eyes_show(parts: list[morphs.Part]) -> None:
    skin, eyes = named(parts, "skin"), named(parts, "eyes")
    front = eyes.points[eyes.points[:, 2] > eyes.points[:, 2].max() - 0.0012]
    assert len(front) > 40
    assert covered(skin, pose(), front).mean() < 0.35
    assert covered(skin, pose(eyeBlink=1), front).all()
    assert covered(skin, pose(eyeBlinkLeft=1), front[front[:, 0] > 0]).all()
    assert not covered(skin, pose(eyeBlinkLeft=1), front[front[:, 0] < 0]).all()
    # On the way down the lid slides over the ball: nothing that it hides comes through it.
    under = eyes.points[(eyes.points[:, 2] > 0.068) & (eyes.points[:, 1] > 0.012)]
    under = under[covered(skin, pose(), under)]
    assert len(under) > 40
    for amount in (0.25, 0.5, 0.75, 1.0):
        assert covered(skin, pose(eyeBlink=amount), under).all()
    assert covered(skin, pose(browDown=1), under).all()
