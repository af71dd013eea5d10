"""Flicker in silence and drift of nose and cheeks, planted in the drawn world."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kouxing.audio.silence import silent_frames
from kouxing.data.manifest import read_manifest
from kouxing.eval import metrics, steadiness
from kouxing.eval.redub import Scene, Studio
from kouxing.types import Bool, VideoFrame
from kouxing.units import SAMPLE_HZ

from . import world


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    data = world.write_data(tmp_path_factory.mktemp("still") / "data", [("a", "ann", "web")])
    return Studio(world.parts(), "fast").load(data, read_manifest(data)[0])


def everywhere(pairs: list[int]) -> dict[int, Bool]:
    return dict.fromkeys(pairs, metrics.lower_face())


def test_pairs_lie_within_a_settled_pause(scene: Scene) -> None:
    silent = silent_frames(scene.samples, SAMPLE_HZ)[: len(scene)]
    inside = np.flatnonzero(silent)
    pairs = steadiness.quiet_pairs(scene, silent)
    edge = steadiness.EDGE
    assert pairs == list(range(inside[0] + edge, inside[-1] - edge))
    # A clip that begins in silence has nothing to settle there.
    all_silent = np.ones(len(scene), bool)
    assert steadiness.quiet_pairs(scene, all_silent) == list(range(len(scene) - 1))
    shaken = scene.track.anchors.copy()
    shaken[20:] += 5
    cut = np.zeros(len(scene), bool)
    cut[30] = True
    moved = dataclasses.replace(scene, track=dataclasses.replace(scene.track, anchors=shaken, cut=cut))
    missing = set(range(len(scene) - 1)) - set(steadiness.quiet_pairs(moved, all_silent))
    assert missing == {19, 29}


def test_flicker_is_told_from_rest(scene: Scene) -> None:
    pairs = list(range(10, 15))
    steady = [scene.frames[10]] * len(scene)
    assert steadiness.flicker(scene, steady, pairs, everywhere(pairs)) == 0

    def lit(frame: VideoFrame, by: int) -> VideoFrame:
        luma = np.clip(frame.planes[0].astype(int) + by, 0, 255).astype(np.uint8)
        return dataclasses.replace(frame, planes=(luma, *frame.planes[1:]))

    wavering = [lit(frame, 4 * (at % 2)) for at, frame in enumerate(steady)]
    assert steadiness.flicker(scene, wavering, pairs, everywhere(pairs)) == pytest.approx(4, abs=1)
    assert np.isnan(steadiness.flicker(scene, wavering, [], {}))


def test_drift_is_that_of_nose_and_cheeks(scene: Scene) -> None:
    real = scene.track
    assert np.nanmax(steadiness.drift(real, real)) == 0
    chin, lips = real.jaw.copy(), real.lips + 9
    chin[:, 10] += 9
    assert np.nanmax(steadiness.drift(dataclasses.replace(real, jaw=chin, lips=lips), real)) == 0
    step = np.array([7.0, 0.0], np.float32)
    whole = dataclasses.replace(real, jaw=real.jaw + step, anchors=real.anchors + step)
    np.testing.assert_allclose(steadiness.drift(whole, real), 7 / world.FACE_PX, rtol=1e-4)
    lost = dataclasses.replace(real, found=np.arange(len(real)) != 4)
    assert np.flatnonzero(np.isnan(steadiness.drift(lost, real))).tolist() == [4]
