"""Loading, tracking and dubbing test clips: what the judge refuses, and what the pipeline alone costs."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fake_media import make_video
from kouxing.data.manifest import Clip, read_manifest
from kouxing.errors import DataError
from kouxing.eval import metrics
from kouxing.eval.judge import _masks, fit, own_rows
from kouxing.eval.redub import GroundTruth, Studio
from kouxing.face.paste import paste
from kouxing.face.track import FaceTracker
from shared import SHARED, needs_shared

from . import world


def clip(name: str) -> Clip:
    return Clip(name, "test", "ann", "en", 1.0, "open", "web")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.write_data(tmp_path_factory.mktemp("redub") / "data", [("a", "ann", "web")], frames=30)


def test_no_face_and_other_rates_are_refused(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    make_video(tmp_path / "clips" / "empty.mp4", frames=5, size=(240, 240), sound_rate=16_000)
    make_video(tmp_path / "clips" / "fast.mp4", frames=12, rate=Fraction(30), sound_rate=16_000)
    studio = Studio(world.parts(), "fast")
    with pytest.raises(DataError, match=r"empty\.mp4: no face"):
        studio.load(tmp_path, clip("empty"))
    with pytest.raises(DataError, match=r"fast\.mp4: not 25 frames"):
        studio.load(tmp_path, clip("fast"))


def test_the_stored_track_is_used_and_mended(data: Path, tmp_path: Path) -> None:
    studio = Studio(world.parts(), "fast")
    stored = tmp_path / "deep" / "a.npz"
    first = studio.load(data, clip("a"), stored)
    moved = dataclasses.replace(first.track, lips=first.track.lips + 1)
    with np.load(stored) as file:
        crc = file["crc"]
    rows = {name: getattr(moved, name) for name in ("lips", "anchors", "jaw", "found", "cut")}
    np.savez(stored, crc=crc, **rows)
    np.testing.assert_array_equal(studio.load(data, clip("a"), stored).track.lips, moved.lips)
    # Of a clip of the same name and length in another data set.
    np.savez(stored, crc=crc + 1, **rows)
    np.testing.assert_array_equal(studio.load(data, clip("a"), stored).track.lips, first.track.lips)
    stored.write_bytes(b"torn")
    np.testing.assert_array_equal(studio.load(data, clip("a"), stored).track.lips, first.track.lips)


def test_redub_stops_at_the_shorter_and_passes_faceless_frames(data: Path) -> None:
    studio = Studio(world.parts(), "fast")
    scene = studio.load(data, clip("a"))
    features = fit(studio.hear(scene.samples), len(scene))
    assert len(studio.redub(scene, features[:7])) == 7
    assert len(studio.redub(scene, features, most=4)) == 4
    present = scene.cast.present.copy()
    present[2] = False
    blind = dataclasses.replace(scene, cast=dataclasses.replace(scene.cast, present=present))
    made = studio.redub(blind, features, most=4)
    assert all((a == b).all() for a, b in zip(made[2].planes, scene.frames[2].planes, strict=True))
    assert (made[1].planes[0] != scene.frames[1].planes[0]).any()
    assert not _masks(blind, 2)[0].any()


def test_features_are_cut_or_held() -> None:
    rows = np.arange(32, dtype=np.float32).reshape(2, 16)
    np.testing.assert_array_equal(fit(rows, 1), rows[:1])
    np.testing.assert_array_equal(fit(rows, 4), rows[[0, 1, 1, 1]])
    assert not fit(rows[:0], 3).any()


@needs_shared
def test_crop_paste_and_tracker_alone_keep_a_real_mouth() -> None:
    folder = SHARED / "data"
    real = next(one for one in read_manifest(folder, "test") if one.part == "grid" and one.seconds < 4)
    parts = dataclasses.replace(world.parts(GroundTruth), tracker=FaceTracker, paste=paste)
    studio = Studio(parts, "fast")
    scene = studio.load(folder, real)
    made = studio.redub(scene, np.zeros((len(scene), 16), np.float32), GroundTruth())
    row = own_rows("truth", scene, made, studio.follow(made))
    assert row["truth_r"] > 0.95
    assert row["truth_lag"] == 0
    assert row["truth_outside"] == 0
    assert row["truth_psnr_db"] > 40
    assert row["truth_lmd"] < 0.01
    assert np.ptp(metrics.aperture(scene.track)) > 0.02
