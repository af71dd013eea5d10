"""A tracker that was stopped and restored goes on to the very same points."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.face import memory
from kouxing.face.square import Square
from kouxing.face.track import FaceTracker
from kouxing.media.reader import read_video
from shared import SHARED, needs_shared


def test_values_come_back_exactly():
    value = {
        "a": [1, 2.5, None, "x", True],
        "square": Square(0.1, 0.2, 3.3, -0.4),
        "row": np.arange(3, dtype=np.float32),
        "number": np.float32(0.1),
    }
    arrays = memory.kept(value)
    assert all(array.dtype != object for array in arrays.values())
    back = memory.brought_back(arrays)
    assert back["a"] == value["a"] and back["square"] == value["square"]
    assert back["row"].dtype == np.float32 and back["row"].tolist() == [0, 1, 2]
    assert type(back["number"]) is np.float32 and back["number"] == value["number"]


def test_strangers_are_refused():
    with pytest.raises(TypeError, match="cannot be kept"):
        memory.kept({"x": object()})
    with pytest.raises(ValueError, match="not a kept state"):
        memory.brought_back({})
    with FaceTracker() as tracker, pytest.raises(ValueError, match="not the state"):
        tracker.restore(memory.kept({"other": 1}))


@needs_shared
@pytest.mark.parametrize("stop", [0, 1, 17])
def test_a_restored_tracker_sees_the_same(tmp_path, stop):
    clip = sorted((SHARED / "data" / "clips").glob("*.mp4"))[-1]
    frames = [frame for frame, _ in zip(read_video(clip), range(30), strict=False)]
    with FaceTracker() as whole, FaceTracker() as first, FaceTracker() as second:
        wanted = [whole.push(frame) for frame in frames]
        for frame in frames[:stop]:
            first.push(frame)
        np.savez(tmp_path / "state.npz", **first.state())
        with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
            second.restore(dict(state))
        got = [second.push(frame) for frame in frames[stop:]]
    assert any(seen.found for seen in wanted)
    for one, other in zip(wanted[stop:], got, strict=True):
        assert (one.found, one.cut) == (other.found, other.cut)
        np.testing.assert_array_equal(one.lips, other.lips)
        np.testing.assert_array_equal(one.jaw, other.jaw)
    assert len(second.track()) == len(frames) - stop
