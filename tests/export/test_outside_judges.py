"""Avatars before judges that are not ours: Khronos' validator, and Blender."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from face.people import anna
from kouxing.arkit import COEFFICIENTS
from kouxing.export import gltf
from kouxing.infer.avatar import avatar
from kouxing.types import CoefficientTrack

HEAD = Path(__file__).parents[2] / "src/kouxing/assets/head.glb"

VALIDATE = """
const judge = require('gltf-validator'), bytes = new Uint8Array(require('fs').readFileSync(process.argv[1]));
judge.validateBytes(bytes).then(told => console.log(JSON.stringify(told.issues)));
"""

IMPORT = """
import json, sys
import numpy
# Debian's Blender asks for a name that Debian's numpy has no more.
if not hasattr(numpy, "bool"):
    numpy.bool = bool
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=sys.argv[-1])
keys = [key.name for mesh in bpy.data.meshes if mesh.shape_keys for key in mesh.shape_keys.key_blocks]
print("KEYS", json.dumps([keys, len(bpy.data.actions)]))
"""


def node_has_it() -> bool:
    if shutil.which("node") is None:
        return False
    asked = subprocess.run(["node", "-e", "require('gltf-validator')"], capture_output=True, timeout=60, check=False)
    return asked.returncode == 0


def blender_reads() -> bool:
    if shutil.which("blender") is None:
        return False
    asked = subprocess.run(
        ["blender", "-b", "--factory-startup", "--python-exit-code", "3", "--python-expr", "import numpy"],
        capture_output=True, timeout=120, check=False, env=plain_environment(),
    )  # fmt: skip
    return asked.returncode == 0


def plain_environment() -> dict[str, str]:
    """Without the path to our packages, which are another Python's than Blender's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The head, a photo's avatar, and both animated."""
    folder = tmp_path_factory.mktemp("judges")
    cv2.imwrite(str(folder / "photo.png"), cv2.cvtColor(anna(), cv2.COLOR_RGB2BGR))
    avatar(folder / "photo.png", folder / "photo.glb", texture_px=256)
    values = np.random.default_rng(0).random((30, len(COEFFICIENTS))).astype(np.float32)
    made = [HEAD, folder / "photo.glb"]
    for path in list(made):
        moving = folder / f"moving-{path.name}"
        moving.write_bytes(gltf.animate(path.read_bytes(), CoefficientTrack(values), path.name))
        made.append(moving)
    return made


@pytest.mark.skipif(not node_has_it(), reason="gltf-validator is missing: npm install gltf-validator, and NODE_PATH")
def test_khronos_validator_finds_no_fault(files: list[Path]) -> None:
    for path in files:
        told = subprocess.run(["node", "-e", VALIDATE, str(path)], capture_output=True, timeout=120, check=True)
        issues = json.loads(told.stdout)
        assert issues["numErrors"] == issues["numWarnings"] == 0, (path.name, issues["messages"][:5])


@pytest.mark.slow
@pytest.mark.skipif(not blender_reads(), reason="Blender with numpy is missing: apt-get install blender python3-numpy")
def test_blender_opens_them_with_52_named_shape_keys(files: list[Path], tmp_path: Path) -> None:
    script = tmp_path / "open.py"
    script.write_text(IMPORT, encoding="utf-8")
    for path in (files[0], files[3]):
        command = ["blender", "-b", "--factory-startup", "--python-exit-code", "3", "--python", str(script), "--"]
        told = subprocess.run(
            [*command, str(path)], capture_output=True, text=True, timeout=300, check=True, env=plain_environment()
        )
        (line,) = [line for line in told.stdout.splitlines() if line.startswith("KEYS")]
        keys, actions = json.loads(line[5:])
        assert keys == ["Basis", *COEFFICIENTS]
        assert bool(actions) == path.name.startswith("moving")
