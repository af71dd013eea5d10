"""Pairs for the coefficient reader: late tracks are brought forward, faces can be mirrored, broken files are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fake_mesh import GAP_SCALE, SYMMETRIC, make_mesh_data, moving
from kouxing.arkit import MEDIAPIPE
from kouxing.data.coefficients import (
    MIRRORED_NAMES,
    PointBatches,
    average_face,
    load_meshes,
    mesh_folder,
    mirror_places,
    pairs,
)
from kouxing.errors import DataError
from kouxing.face.coefficients import POINTS, aperture


def test_late_coefficients_are_brought_to_the_meshs_time(tmp_path: Path) -> None:
    data, meshes = make_mesh_data(tmp_path, lag=0.5)
    clips = load_meshes(data, "train", meshes)
    assert [clip.lag for clip in clips] == pytest.approx([0.5] * len(clips), abs=0.11)
    made = pairs(clips, average_face(clips))
    for one in made:
        jaw = one.target[:, MEDIAPIPE.index("jawOpen")]
        assert np.corrcoef(jaw, aperture(one.shape))[0, 1] > 0.995
        assert len(one) < 60 and np.isfinite(one.shape).all() and np.isfinite(one.target).all()


def test_still_clips_get_the_usual_lag(tmp_path: Path) -> None:
    data, meshes = make_mesh_data(tmp_path, moves=False)
    assert {clip.lag for clip in load_meshes(data, "val", meshes)} == {0.4}


def test_mirroring_swaps_sides_and_names(tmp_path: Path) -> None:
    partner = mirror_places(SYMMETRIC[list(POINTS)])
    assert POINTS[partner[POINTS.index(33)]] == 263 and POINTS[partner[POINTS.index(13)]] == 13
    left, right = MEDIAPIPE.index("mouthSmileLeft"), MEDIAPIPE.index("mouthSmileRight")
    assert MIRRORED_NAMES[left] == right and MIRRORED_NAMES[right] == left
    crooked = np.random.default_rng(0).normal(size=(len(POINTS), 3)).astype(np.float32)
    with pytest.raises(DataError):
        mirror_places(crooked)


def test_batches_depend_on_their_number_alone(tmp_path: Path) -> None:
    data, meshes = make_mesh_data(tmp_path)
    clips = load_meshes(data, "train", meshes)
    made = pairs(clips, average_face(clips))
    shares = np.full(len(made), 1 / len(made))
    one, other = (PointBatches(made, shares, 8, seed=3) for _ in range(2))
    assert one(5)["points"].equal(other(5)["points"]) and not one(5)["points"].equal(one(6)["points"])
    assert one(5)["points"].shape == (8, len(POINTS), 3) and one(5)["target"].shape == (8, 51)


def test_data_without_coefficients_or_with_broken_meshes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, meshes = make_mesh_data(tmp_path)
    broken = next(meshes.glob("*.npy"))
    np.save(broken, np.zeros((4, 3)))
    with pytest.raises(DataError, match="meshes"):
        load_meshes(data, "train", meshes)
    broken.write_bytes(b"nothing")
    with pytest.raises(DataError, match="readable"):
        load_meshes(data, "train", meshes)
    for path in (data / "tracks").iterdir():
        with np.load(path) as file:
            rest = {name: file[name] for name in file.files if name != "blendshapes"}
        np.savez(path, **rest)
    with pytest.raises(DataError, match="blendshapes"):
        load_meshes(data, "train", meshes)
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    assert str(mesh_folder(data)).startswith(str(tmp_path / "cache"))


def test_the_made_face_opens_as_told() -> None:
    mesh, opening = moving(20, seed=1)
    assert np.corrcoef(aperture(mesh[:, list(POINTS)]), opening)[0, 1] > 0.999 and GAP_SCALE > 0
