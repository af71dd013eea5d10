"""Person files: what is saved comes back and paints; everything else is refused in one line."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kouxing import weights
from kouxing.errors import OptionError, WeightError
from kouxing.infer import person
from kouxing.infer.dub import dub
from kouxing.infer.lips import LipsNetwork
from kouxing.infer.parts import shipped
from kouxing.infer.references import References
from kouxing.weights import graph

ANCHORS = np.array(
    [[79, 70], [103, 70], [153, 70], [177, 70], [128, 122], [128, 230], [40, 110], [216, 110]], np.float32
)


def tensors() -> dict[str, np.ndarray]:
    """The shipped numbers."""
    found = {}
    for stage in person.STAGES:
        content = weights.content(f"lips_fast_{stage}")
        found |= {f"{stage}/{name}": graph.values(content, row) for name, row in graph.stored(content).items()}
    return found


def about() -> dict[str, Any]:
    return {"dimensions": weights.card("lips_fast_frame")["dimensions"]}


@pytest.fixture(scope="module")
def changed() -> dict[str, np.ndarray]:
    made = tensors()
    made["frame/model.paint_out.bias"] = made["frame/model.paint_out.bias"] + np.float32(2)
    return made


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, changed: dict[str, np.ndarray]) -> Path:
    path = tmp_path_factory.mktemp("person") / "anna.kx"
    person.save(path, "fast", changed, about())
    return path


def painted(network: LipsNetwork) -> np.ndarray:
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (3, 256, 256, 3)).astype(np.uint8)
    network.set_references(References(crops, np.zeros((3, 16), np.float32), np.stack([ANCHORS] * 3)))
    return network.paint(crops[0], ANCHORS, np.zeros((11, 16), np.float32))


def test_a_person_paints_differently_and_the_shipped_numbers_do_not(file: Path, tmp_path: Path) -> None:
    whom = person.load(file)
    assert whom.preset == "fast" and shipped(whom).identity("fast")["person"] == whom.sha256
    assert "person" not in shipped().identity("fast")
    plain = painted(LipsNetwork("fast", threads=1))
    assert np.abs(painted(LipsNetwork("fast", threads=1, person=whom)).astype(int) - plain).max() > 10
    same = person.save(tmp_path / "same.kx", "fast", tensors(), about())
    np.testing.assert_array_equal(painted(LipsNetwork("fast", threads=1, person=same)), plain)
    person.save(tmp_path / "again.kx", "fast", tensors(), about())
    assert (tmp_path / "again.kx").read_bytes() == (tmp_path / "same.kx").read_bytes()


def test_what_sharpens_a_persons_mouth_is_theirs(tmp_path: Path) -> None:
    made = [
        painted(LipsNetwork("fast", threads=1, person=person.save(tmp_path / f"{k}.kx", "fast", tensors(), told)))
        for k, told in enumerate(about() | ({} if much is None else {"sharpening": much}) for much in (0.0, 0.2, None))
    ]
    plain, some, own = (image[128:].astype(int) for image in made)
    assert 0 < np.abs(some - plain).max() < np.abs(own - plain).max()


def test_it_belongs_to_one_preset(file: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="fitted for --preset fast, not fine"):
        dub(file, file, tmp_path / "out.mp4", preset="fine", person=file)
    with pytest.raises(WeightError, match="no such file"):
        dub(file, file, tmp_path / "out.mp4", person=tmp_path / "none.kx")


def rewritten(file: Path, out: Path, card: Any = None, raw: bytes | None = None, **options: Any) -> Path:
    with zipfile.ZipFile(file) as whole:
        told, numbers = json.loads(whole.read(person.CARD)), whole.read(person.TENSORS)
    numbers = numbers if raw is None else raw
    told["sha256"] = hashlib.sha256(numbers).hexdigest()
    told = {**told, **card} if isinstance(card, dict) else told if card is None else card
    with zipfile.ZipFile(out, "w", options.get("packing", zipfile.ZIP_STORED)) as whole:
        whole.writestr(person.CARD, told if isinstance(told, bytes) else json.dumps(told))
        whole.writestr(person.TENSORS, numbers)
        for name in options.get("more", ()):
            whole.writestr(name, b"")
    return out


@pytest.mark.parametrize(
    ("card", "options", "message"),
    [
        ({"kind": "other"}, {}, "no person file"),
        ({"format": 99}, {}, "format 99"),
        ({"preset": "huge"}, {}, "no preset"),
        ({"preset": ["fast"]}, {}, "no preset"),
        ({"dimensions": {"features": 8}}, {}, "another size"),
        ({"preset": "fine"}, {}, "another size"),
        ({"sha256": "0" * 64}, {}, "checksum"),
        ({"sharpening": -1}, {}, "sharpening"),
        ({"sharpening": "much"}, {}, "sharpening"),
        ({"sharpening": float("nan")}, {}, "sharpening"),
        (b"[1]", {}, "no person file"),
        (b"{", {}, "no JSON"),
        (b"[" * 60_000, {}, "no JSON"),
        (None, {"packing": zipfile.ZIP_DEFLATED}, "packed or too large"),
        (None, {"more": ["run.py"]}, "3 members"),
    ],
)
def test_what_is_no_person_is_refused(
    file: Path, tmp_path: Path, card: Any, options: dict[str, Any], message: str
) -> None:
    path = rewritten(file, tmp_path / "bad.kx", card, **options)
    with pytest.raises(WeightError, match=message) as caught:
        person.load(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_other_tensors_are_refused(file: Path, tmp_path: Path, changed: dict[str, np.ndarray]) -> None:
    name = "frame/model.paint_out.bias"
    fewer = {key: value for key, value in changed.items() if key != name}
    for bad, message in (
        (fewer, "does not hold the tensors"),
        ({**changed, "frame/more": np.zeros(3, np.float32)}, "does not hold the tensors"),
        ({**changed, name: np.zeros(6, np.float32)}, r"is float32 \[6\]"),
        ({**changed, name: np.zeros(5, np.float16)}, r"is float16 \[5\]"),
        ({**changed, name: np.full(5, np.nan, np.float32)}, "not finite"),
    ):
        path = rewritten(file, tmp_path / "bad.kx", raw=person.write_tensors(bad))
        with pytest.raises(WeightError, match=message):
            person.load(path)
        with pytest.raises(WeightError, match=message):
            person.save(tmp_path / "made.kx", "fast", bad, about())
    assert not (tmp_path / "made.kx").exists() and [path.name for path in tmp_path.iterdir()] == ["bad.kx"]


def test_broken_bytes_are_refused(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for cut in (0, 10, 500, len(whole) // 2, len(whole) - 5):
        (tmp_path / "bad.kx").write_bytes(whole[:cut])
        with pytest.raises(WeightError, match=r"no person file or damaged|checksum"):
            person.load(tmp_path / "bad.kx")
    with pytest.raises(WeightError, match="cannot be read"):
        person.load(tmp_path)


def header(told: Any, body: bytes = b"\0" * 8) -> bytes:
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    return len(text).to_bytes(8, "little") + text + body


ROW = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 16,
        (1 << 40).to_bytes(8, "little") + b"{}",
        header(b"[]"),
        header({"a": 1}),
        header({"a": {**ROW, "dtype": "I64"}}),
        header({"a": {**ROW, "shape": [-2]}}),
        header({"a": {**ROW, "shape": [3]}}),
        header({"a": {**ROW, "shape": [1 << 62, 1 << 62]}}),
        header({"a": {**ROW, "shape": [1.5]}}),
        header({"a": {**ROW, "shape": [1] * 9 + [2]}}),
        header({"a": {**ROW, "data_offsets": [0, 8, 16]}}),
        header({"a": {**ROW, "data_offsets": [4, 12]}}),
        header({"a": ROW, "b": ROW}),
        header({"a": ROW}, b"\0" * 4),
        header({"a": ROW}, b"\0" * 12),
    ],
)
def test_headers_that_lie_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        person.read_tensors(content)
    assert person.read_tensors(header({"a": ROW, "__metadata__": {"x": "y"}}))["a"].tolist() == [0, 0]
