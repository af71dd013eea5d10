"""Tools that are not ours: real ones where Node.js has them, a made-up package otherwise."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from kouxing.errors import DataError, OptionError
from kouxing.eval.outside import RHUBARB, VALIDATOR, Node, read_cues
from kouxing.eval.visemes import Cue

HEAD = Path(__file__).parents[2] / "src/kouxing/assets/head.glb"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is missing")

MADE_UP = """
export class Rhubarb {
  static async getLipSync(pcm) {
    console.log('noise on stdout');
    if (pcm.length < 10) throw new Error('too short to hear');
    return { mouthCues: [{ start: pcm.length / 32000, end: 9, value: 'B' }, { start: 0, end: 1, value: 'A' }] };
  }
}
"""


def package(folder: Path) -> Path:
    """``node_modules`` with a package of Rhubarb's name and shape."""
    place = folder / "node_modules" / RHUBARB
    place.mkdir(parents=True)
    (place / "package.json").write_text(f'{{"name": "{RHUBARB}", "type": "module", "main": "index.js"}}')
    (place / "index.js").write_text(MADE_UP)
    return place.parent


def test_without_node_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "Node.js" in (Node().lacks(VALIDATOR) or "")
    with pytest.raises(OptionError, match="not installed"):
        Node().validate([HEAD])


@needs_node
def test_without_the_package_it_says_how(tmp_path: Path) -> None:
    reason = Node(tmp_path).lacks("no-such-package")
    assert reason is not None and "npm install no-such-package" in reason and "\n" not in reason


@needs_node
def test_cues_come_from_an_es_module_that_prints(tmp_path: Path) -> None:
    node = Node(package(tmp_path))
    assert node.lacks(RHUBARB) is None
    assert node.rhubarb(np.zeros(8000, np.float32)) == [Cue(0, "A"), Cue(0.5, "B")]
    with pytest.raises(DataError, match="too short to hear") as caught:
        node.rhubarb(np.zeros(2, np.float32))
    assert "\n" not in str(caught.value)


def test_cues_of_rhubarbs_own_file() -> None:
    text = '{"metadata": {}, "mouthCues": [{"start": 0.0, "end": 0.1, "value": "X"}]}'
    assert read_cues(text, "a.json") == [Cue(0.0, "X")]
    for wrong in ("", "{}", "[]", '{"mouthCues": [{"start": "x", "value": "A"}]}', '{"mouthCues": 3}'):
        with pytest.raises(DataError, match="no mouth cues"):
            read_cues(wrong, "a.json")
    with pytest.raises(DataError, match="'Z'"):
        read_cues('{"mouthCues": [{"start": 0, "value": "Z"}]}', "a.json")


@pytest.mark.skipif(Node().lacks(VALIDATOR) is not None, reason="gltf-validator is missing: npm install gltf-validator")
def test_the_validator_tells_sound_files_from_broken_ones(tmp_path: Path) -> None:
    broken = bytearray(HEAD.read_bytes())
    # An accessor's type that does not exist.
    place = broken.index(b'"VEC3"')
    broken[place : place + 6] = b'"VEC9"'
    (tmp_path / "broken.glb").write_bytes(broken)
    sound, faulty = Node().validate([HEAD, tmp_path / "broken.glb"])
    assert (sound.errors, sound.warnings) == (0, 0)
    assert faulty.errors > 0 and faulty.messages
    assert struct.unpack_from("<I", broken)[0] == 0x46546C67
