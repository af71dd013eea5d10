"""GLB arrays: what is written is read back; what other tools write is read; what is broken is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kouxing.errors import DataError, MediaError, OutputError
from kouxing.export.glb import ARRAY_BUFFER, Glb, read_glb, write_glb


def new() -> Glb:
    return Glb({"asset": {"version": "2.0"}})


def again(glb: Glb, folder: Path) -> Glb:
    write_glb(folder / "a.glb", glb)
    return read_glb(folder / "a.glb")


def test_arrays_come_back(tmp_path: Path) -> None:
    glb = new()
    points = np.random.default_rng(0).random((7, 3)).astype(np.float32)
    short = np.arange(5, dtype=np.uint16)
    places = [glb.add_accessor(points, "VEC3", ARRAY_BUFFER, limits=True), glb.add_accessor(short, "SCALAR")]
    read = again(glb, tmp_path)
    np.testing.assert_array_equal(read.array(places[0]), points)
    np.testing.assert_array_equal(read.array(places[1]), short)
    assert read.document["accessors"][places[0]]["max"] == [float(v) for v in points.max(0)]
    assert all(view["byteOffset"] % 4 == 0 for view in read.document["bufferViews"])


@pytest.mark.parametrize("rows", [[], [3], [0, 6]])
def test_sparse_arrays_come_back(rows: list[int], tmp_path: Path) -> None:
    glb = new()
    values = np.zeros((7, 3), np.float32)
    values[rows] = 0.5
    place = glb.add_sparse(values)
    read = again(glb, tmp_path)
    np.testing.assert_array_equal(read.array(place), values)
    assert ("sparse" in read.document["accessors"][place]) == bool(rows)


def test_interleaved_and_normalised_arrays_are_read() -> None:
    glb = new()
    rows = np.zeros(4, np.dtype([("a", "<f4", 3), ("b", "<i2", 2)]))
    rows["a"] = np.arange(12).reshape(4, 3)
    rows["b"] = [[32767, -32768], [0, 0], [16384, 1], [-32767, 2]]
    glb.add_view(rows.tobytes())
    glb.document["bufferViews"][0]["byteStride"] = 16
    glb.document["buffers"] = [{"byteLength": 64}]
    glb.append("accessors", {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"})
    told = {"bufferView": 0, "byteOffset": 12, "componentType": 5122, "count": 4, "type": "VEC2", "normalized": True}
    glb.append("accessors", told)
    np.testing.assert_array_equal(glb.array(0), rows["a"])
    np.testing.assert_allclose(glb.array(1)[:2], [[1, -1], [0, 0]])


@pytest.mark.parametrize(
    "change",
    [
        {"count": 10**9},
        {"count": float("inf")},
        {"count": 8},
        {"bufferView": 3},
        {"componentType": 1},
        {"byteOffset": -4},
        {"type": "VEC9"},
    ],
)
def test_broken_arrays_are_told(change: dict[str, object]) -> None:
    glb = new()
    place = glb.add_accessor(np.zeros((7, 3), np.float32), "VEC3")
    glb.document["buffers"] = [{"byteLength": 84}]
    glb.document["accessors"][place].update(change)
    with pytest.raises(MediaError, match="accessor 0 is broken"):
        glb.array(place)


def test_what_is_no_glb_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.glb"
    with pytest.raises(MediaError, match="cannot be read"):
        read_glb(path)
    path.write_bytes(b"not a GLB at all")
    with pytest.raises(DataError, match=r"a\.glb"):
        read_glb(path)
    with pytest.raises(OutputError):
        write_glb(tmp_path / "none" / "a.glb", new())
