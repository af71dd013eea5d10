"""Stored tracks that are no whole files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kouxing.data.coefficients import _stored
from kouxing.data.manifest import Clip
from kouxing.data.tracks import read_track
from kouxing.errors import DataError

CLIP = Clip("a", "train", "s", "en", 1.0, "open", "x")


def whole(path: Path) -> bytes:
    """A compressed track, long enough to be cut anywhere."""
    noise = np.random.default_rng(0).random((25, 40, 2)).astype(np.float32)
    rows = {
        "lips": noise,
        "anchors": noise[:, :8],
        "found": np.ones(25, bool),
        "blendshapes": noise[:, :26].reshape(25, 52),
    }
    np.savez_compressed(path, **rows)
    return path.read_bytes()


@pytest.mark.parametrize("read", [read_track, _stored])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"no archive",
        lambda data: data[: len(data) // 2],
        lambda data: data[:200] + bytes(len(data) - 1200) + data[-1000:],
        lambda data: data[100:],
    ],
)
def test_a_damaged_track_is_one_line(
    tmp_path: Path, read: Callable[[Path, Clip], object], spoil: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "tracks" / "a.npz"
    path.parent.mkdir()
    path.write_bytes(spoil(whole(path)))
    with pytest.raises(DataError, match="readable") as caught:
        read(tmp_path, CLIP)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("lips", (25, 39, 2)), ("anchors", (24, 8, 2)), ("jaw", (25, 3, 2)), ("jaw", (24, 21, 2)), ("found", (25, 2))],
)
def test_points_of_other_shapes_are_one_line(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    rows = {"lips": np.zeros((25, 40, 2)), "anchors": np.zeros((25, 8, 2)), "jaw": np.zeros((25, 21, 2))}
    (tmp_path / "tracks").mkdir()
    np.savez(tmp_path / "tracks" / "a.npz", **{**rows, "found": np.ones(25, bool), name: np.zeros(shape)})
    with pytest.raises(DataError, match="do not fit 25 frames") as caught:
        read_track(tmp_path, CLIP)
    assert f"{name} {shape}" in str(caught.value)


def test_a_track_without_frames_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tracks").mkdir()
    rows = {"lips": np.zeros((25, 40, 2)), "anchors": np.zeros((25, 8, 2)), "jaw": np.zeros((25, 21, 2))}
    np.savez(tmp_path / "tracks" / "a.npz", **rows, found=np.array(True))
    with pytest.raises(DataError, match="readable"):
        read_track(tmp_path, CLIP)
