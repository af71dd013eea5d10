"""Numbers inside ONNX files: found where the onnx package finds them, replaced, and nothing else touched."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing import weights
from kouxing.weights import graph

onnx = pytest.importorskip("onnx", reason="needs kouxing[train]")


def test_all_stored_floats_of_a_shipped_graph_are_found() -> None:
    content = weights.content("lips_fast_frame")
    found = graph.stored(content)
    model = onnx.load_from_string(content)
    wanted = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(graph.values(content, found[name]), value)


def test_replacing_changes_that_tensor_only() -> None:
    content = weights.content("lips_fast_references")
    name = "model.reference_encoder.down.1.weight.half"
    old = graph.values(content, graph.stored(content)[name])
    made = graph.replaced(content, {name: (old + np.float16(1)).astype(np.float16)})
    assert graph.replaced(content, {name: old}) == content and len(made) == len(content)
    before, after = (onnx.load_from_string(one).graph.initializer for one in (content, made))
    changed = [a.name for a, b in zip(before, after, strict=True) if a != b]
    assert changed == [name]


def test_what_does_not_fit_is_refused() -> None:
    content = weights.content("lips_fast_references")
    name = "model.reference_encoder.down.1.weight.half"
    old = graph.values(content, graph.stored(content)[name])
    for bad in ({"other": old}, {name: old.astype(np.float32)}, {name: old[:1]}):
        with pytest.raises(ValueError, match="tensor"):
            graph.replaced(content, bad)


@pytest.mark.parametrize("content", [b"", b"\0" * 9, b"\xff" * 40, b"PK\3\4 no model", b":\x7fabc"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        graph.stored(content)


def test_tensors_outside_of_the_file_are_refused() -> None:
    helper = onnx.helper
    tensor = onnx.numpy_helper.from_array(np.ones(3, np.float32), "three")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    model = helper.make_model(helper.make_graph([], "g", [], [], [tensor]))
    with pytest.raises(ValueError, match="outside"):
        graph.stored(model.SerializeToString())


def test_every_cut_of_a_model_is_refused_or_holds_whole_tensors() -> None:
    helper = onnx.helper
    tensor = onnx.numpy_helper.from_array(np.ones((2, 3), np.float32), "six")
    content = helper.make_model(helper.make_graph([], "g", [], [], [tensor])).SerializeToString()
    assert graph.stored(content)["six"].shape == (2, 3)
    for cut in range(len(content)):
        try:
            found = graph.stored(content[:cut])
        except ValueError:
            continue
        assert all(row.start + row.size <= cut for row in found.values())
