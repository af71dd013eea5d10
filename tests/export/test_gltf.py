"""Morph animation in a GLB, read back by hand."""

from __future__ import annotations

import json
import struct
from fractions import Fraction

import numpy as np
import pytest

from export.world import UNREAL_ENUM, any_track, glb, glb_of
from kouxing.arkit import COEFFICIENTS
from kouxing.errors import DataError
from kouxing.export.gltf import animate
from kouxing.types import CoefficientTrack


def take_apart(content: bytes) -> tuple[dict, bytes]:
    assert content[:8] == b"glTF\x02\0\0\0" and struct.unpack_from("<I", content, 8)[0] == len(content)
    length = struct.unpack_from("<I", content, 12)[0]
    assert content[16:20] == b"JSON" and length % 4 == 0
    document = json.loads(content[20 : 20 + length])
    binary = content[20 + length :]
    assert binary[4:8] == b"BIN\0" and struct.unpack_from("<I", binary)[0] == len(binary) - 8
    return document, binary[8:]


def numbers(document: dict, binary: bytes, accessor: int) -> np.ndarray:
    told = document["accessors"][accessor]
    view = document["bufferViews"][told["bufferView"]]
    assert (told["componentType"], told["type"], view["buffer"]) == (5126, "SCALAR", 0)
    assert view["byteOffset"] % 4 == 0 and view["byteOffset"] + view["byteLength"] <= document["buffers"][0][
        "byteLength"
    ] <= len(binary)
    return np.frombuffer(binary, "<f4", told["count"], view["byteOffset"])


def test_values_go_to_targets_by_name_in_the_meshs_order() -> None:
    track = any_track(5, rate=Fraction(30))
    names = [["tongueOut", "Blink_L", "JawOpen", "mouthClose"], ["nothing"], list(reversed(COEFFICIENTS))]
    document, binary = take_apart(animate(glb(names, [0.0, 0.5]), track, "me.glb"))
    (animation,) = document["animations"]
    assert [(c["target"]["node"], c["target"]["path"]) for c in animation["channels"]] == [
        (0, "weights"),
        (2, "weights"),
    ]
    one, two = (animation["samplers"][channel["sampler"]] for channel in animation["channels"])
    times = numbers(document, binary, one["input"])
    np.testing.assert_allclose(times, np.arange(5) / 30, atol=1e-6)
    assert document["accessors"][one["input"]]["min"] == [0.0]
    assert document["accessors"][one["input"]]["max"] == [float(times[-1])]
    first = numbers(document, binary, one["output"]).reshape(5, 4)
    for place, name in ((0, "TongueOut"), (2, "JawOpen"), (3, "MouthClose")):
        np.testing.assert_array_equal(first[:, place], track.values[:, UNREAL_ENUM.index(name)])
    np.testing.assert_array_equal(first[:, 1], 0.5)
    np.testing.assert_array_equal(numbers(document, binary, two["output"]).reshape(5, 52), track.values[:, ::-1])


def test_the_rest_of_the_file_stays() -> None:
    content = glb([["jawOpen"]])
    before, old = take_apart(content)
    after, new = take_apart(animate(animate(content, any_track(3), "me.glb"), any_track(2), "me.glb", "second"))
    assert new.startswith(old)
    assert [one["name"] for one in after["animations"]] == ["speech", "second"]
    for key in ("asset", "nodes", "meshes", "scenes"):
        assert after[key] == before[key]
    assert after["accessors"][:1] == before["accessors"] and after["bufferViews"][:1] == before["bufferViews"]


def test_a_first_buffer_elsewhere_is_left_alone() -> None:
    document, _ = take_apart(glb([["jawOpen"]]))
    document["buffers"][0]["uri"] = "head.bin"
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    content = struct.pack("<4sII", b"glTF", 2, 20 + len(text)) + struct.pack("<I4s", len(text), b"JSON") + text
    made = animate(content, any_track(3), "me.glb")
    after = json.loads(made[20 : 20 + struct.unpack_from("<I", made, 12)[0]])
    assert after["buffers"][0] == document["buffers"][0]
    assert after["buffers"][1]["uri"].startswith("data:") and after["bufferViews"][-1]["buffer"] == 1


def test_the_source_is_stated_on_the_asset() -> None:
    url = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    content = animate(glb([["jawOpen"]]), any_track(3), "me.glb", source_type=url)
    for one in (content, animate(content, any_track(2), "me.glb", "b", url)):
        document, _ = take_apart(one)
        assert document["extensionsUsed"] == ["KHR_xmp_json_ld"]
        (packet,) = document["extensions"]["KHR_xmp_json_ld"]["packets"]
        assert packet["Iptc4xmpExt:DigitalSourceType"] == url and "Iptc4xmpExt" in packet["@context"]
        assert document["asset"]["extensions"]["KHR_xmp_json_ld"] == {"packet": 0}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "no GLB"),
        (b"glTF", "4 bytes are too few"),
        (struct.pack("<4sIIII", b"glTF", 2, 20 + 40_000, 40_000, 0x4E4F534A) + b"[" * 40_000, "no GLB"),
        (b"solid cube", "no GLB"),
        (glb([["jawOpen"]])[:-10], "no GLB"),
        (glb([["A", "I", "U"]]), "targetNames"),
        (glb([]), "targetNames"),
        (glb_of({"asset": {"version": "2.0"}, "meshes": [3]}, b"\0\0\0\0"), "valid glTF"),
        (glb_of({"asset": {"version": "2.0"}, "nodes": {"mesh": 1}}, b"\0\0\0\0"), "valid glTF"),
        (glb([["jawOpen"]]).replace(b'"2.0"', b" NaN "), "valid glTF"),
    ],
)
def test_what_cannot_be_animated_is_named_in_one_line(content: bytes, word: str) -> None:
    with pytest.raises(DataError) as caught:
        animate(content, any_track(3), "me.glb")
    assert word in str(caught.value) and "me.glb" in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_or_endless_track_is_refused() -> None:
    endless = CoefficientTrack(np.zeros((2, 52), np.float32), pts=np.array([10**9, 10**9 + 1]))
    for track in (any_track(0), endless):
        with pytest.raises(DataError):
            animate(glb([["jawOpen"]]), track, "me.glb")
