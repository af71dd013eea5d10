"""A second opinion on sync, from lips that are seen and heard, and what it does to how sure an offset is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kouxing.errors import UnsureError
from kouxing.face import geometry
from kouxing.face.crop import apply, invert
from kouxing.face.offset import REACH
from kouxing.face.track import Observation
from kouxing.infer.score import score
from kouxing.infer.score_listen import Heard
from kouxing.infer.score_look import Parts
from kouxing.infer.score_opinion import LEAST, Shapes, opinion, shapes, standing
from kouxing.infer.score_sure import LONGEST, SURE, Ruler
from kouxing.infer.score_watch import Watcher, bridged, steadied, watch
from kouxing.media.reader import load_sound, read_video
from kouxing.types import Float, VideoFrame
from kouxing.units import CROP_PX, SAMPLES_PER_FRAME
from sync_world import FACE_PX, MIDDLES, Brightness, Place, code, sound_of, talk


def moving(frames: int, seed: int = 0) -> Float:
    """Opening and width ``[frames, 2]``."""
    raw = np.random.default_rng(seed).normal(0, 1, (frames + 4, 2))
    return np.stack([np.convolve(column, np.ones(5) / 5, "valid") for column in raw.T], 1).astype(np.float32)


@pytest.mark.parametrize("late", [-11, 0, 7])
def test_it_tells_how_late_the_sound_is(late: int) -> None:
    said = moving(160)
    noise = np.random.default_rng(9).normal(0, 0.2, (130, 2)).astype(np.float32)
    told = opinion(Shapes(3 * said[15:145] + noise, 0.5 * said[15 - late : 145 - late] - 4))
    assert told is not None and told.argmax() == REACH + late
    assert standing(told, REACH + late) > 2.5
    assert standing(told, REACH + late - 8 * (1 if late > 0 else -1)) < 1.5


def test_how_far_a_mouth_opens_does_not_count() -> None:
    said = moving(100)
    plain = opinion(Shapes(said, moving(100, 1)))
    scaled = opinion(Shapes(5 * said + 30, 0.1 * moving(100, 1)))
    assert plain is not None and scaled is not None
    np.testing.assert_allclose(plain, scaled, atol=1e-3)


def test_it_has_none_where_little_is_seen_or_heard() -> None:
    said = moving(60)
    hidden = np.where(np.arange(60)[:, None] < 60 - LEAST, np.nan, said)
    for told in (
        Shapes(hidden[:59], said),
        Shapes(said, hidden[:59]),
        Shapes(said[:1], said[:1]),
        Shapes(said[:20], said),
    ):
        assert opinion(told) is None
    still = opinion(Shapes(np.ones((60, 2), np.float32), said))
    assert still is not None and np.isfinite(still).all()
    holes = said.copy()
    holes[20:28] = np.nan
    told = opinion(Shapes(holes, said))
    assert told is not None and told.argmax() == REACH


def test_opening_and_width_are_those_of_the_lips() -> None:
    told = shapes(np.stack([np.zeros(16), 3 * geometry.opening_direction()]).astype(np.float32))
    assert told[:, 0] == pytest.approx([0, 3], abs=1e-4) and told[0, 1] == 0


def similar(late: int, noise: float, frames: int = 100) -> Float:
    """Similarities whose best lag is ``late``."""
    rows = np.random.default_rng(3).normal(0, noise, (frames, 2 * REACH + 1)).astype(np.float32)
    rows[:, REACH + late] += 0.3
    return rows


def test_agreement_makes_sure_and_contradiction_unsure() -> None:
    ruler, spoken, said = Ruler(Brightness.calibration), np.ones(90, bool), moving(120)
    sims = similar(4, 0.65, 90)
    alone = ruler.measure(sims, spoken)
    agreed = ruler.measure(sims, spoken, Shapes(said[15:105], said[11:101]))
    denied = ruler.measure(sims, spoken, Shapes(said[15:105], said[27:117]))
    assert abs(alone.frames - 4) < 0.5 and alone.frames == agreed.frames == denied.frames
    assert agreed.probability > SURE > denied.probability
    assert agreed.probability > alone.probability > denied.probability
    blind = ruler.measure(sims, spoken, Shapes(np.full((90, 2), np.nan, np.float32), said[:90]))
    assert blind.probability == alone.probability


def test_long_clips_are_seconded_too() -> None:
    frames = LONGEST + 4000
    said, spoken = moving(frames), np.ones(frames, bool)
    ruler, sims = Ruler(Brightness.calibration), similar(-3, 0.3, frames)
    told = ruler.measure(sims, spoken, Shapes(said, np.roll(said, -3, 0)))
    # The sound ends a minute before the pictures do.
    short = ruler.measure(sims, spoken, Shapes(said, np.roll(said, -3, 0)[: frames - 1500]))
    assert min(told.probability, short.probability) > 0.95
    assert ruler.measure(sims, spoken, Shapes(said, np.roll(said, 9, 0))).probability < told.probability


class Lips(Place):
    """Tracks lips as well: as far open as the mouth is bright."""

    def push(self, image: VideoFrame) -> Observation:
        seen = super().push(image)
        if not seen.found:
            return seen
        x, y = (round(value) for value in MIDDLES[self.follow])
        bright = float(image.planes[0][y : y + 20, x - 10 : x + 10].mean())
        scale = CROP_PX / FACE_PX
        matrix = np.array([[scale, 0, CROP_PX / 2 - scale * x], [0, scale, CROP_PX / 2 - scale * y]], np.float32)
        return Observation(True, seen.cut, apply(invert(matrix), mouth(bright / 10)), seen.anchors, seen.jaw)


def mouth(gap: float) -> Float:
    """``[40, 2]`` in crop pixels: two rings, the inner one ``gap`` high."""
    turn = np.pi + np.arange(20) * 2 * np.pi / 20
    rings = [(30, gap / 2 + 8), (26, gap / 2)]
    points = [np.stack([128 + a * np.cos(turn), 180 - b * np.sin(turn)], 1) for a, b in rings]
    return np.concatenate(points).astype(np.float32)


class Loudness:
    """An ear: the mouth is as far open as the frame is loud."""

    def stream(self) -> Loudness:
        one = Loudness()
        one.rest = np.zeros(0, np.float32)
        return one

    rest: Float

    def push(self, samples: Float) -> Float:
        held = np.concatenate([self.rest, samples])
        whole = len(held) // SAMPLES_PER_FRAME
        self.rest = held[whole * SAMPLES_PER_FRAME :]
        parts = held[: whole * SAMPLES_PER_FRAME].reshape(whole, SAMPLES_PER_FRAME)
        level = np.log10(np.sqrt((parts**2).mean(1)) + 1e-3)
        return (4 * level[:, None] * geometry.opening_direction()).astype(np.float32)

    def finish(self) -> Float:
        return self.push(np.zeros(-len(self.rest) % SAMPLES_PER_FRAME, np.float32))


def test_lips_are_followed_between_the_pictures_that_are_tracked(tmp_path: Path) -> None:
    slow = np.repeat(code(24, 3), 6)[:140]
    talk(tmp_path / "a.mp4", 5.6, mouths=(slow, None), heard=slow, dark=((2.0, 3.0),))
    frames, sound = list(read_video(tmp_path / "a.mp4")), load_sound(tmp_path / "a.mp4").samples
    found = []
    for every in (1, 2):
        judge = Brightness()
        with ThreadPoolExecutor(1) as pool:
            watcher = Watcher(Lips(), judge, Heard(iter([sound]), judge), pool, every)
            watch(steadied(iter(frames)), [watcher], lambda done: None)
            found.append(watcher.finish())
    assert np.isnan(found[1].shapes[52:73]).all() and not np.isfinite(found[0].shapes[52:73]).any()
    known = np.isfinite(found[0].shapes).all(1) & np.isfinite(found[1].shapes).all(1)
    assert known.sum() > 105
    whole, half = found[0].shapes[known, 0], found[1].shapes[known, 0]
    assert np.corrcoef(whole, half)[0, 1] > 0.9
    assert np.corrcoef(whole, slow[known])[0, 1] > 0.9


def test_lips_that_were_never_found() -> None:
    lips = np.stack([mouth(gap) for gap in (2, 4, 8)])
    assert np.isnan(bridged(lips, np.zeros(3, bool))).all()
    told = bridged(lips, np.array([True, False, True]))
    assert told[1] == pytest.approx((told[0] + told[2]) / 2) and told[2, 0] > told[0, 0] + 4


def test_shapes_in_pieces_are_those_of_the_whole() -> None:
    samples = sound_of(code(300), 0)[::3]
    cuts = np.sort(np.random.default_rng(0).integers(0, len(samples), 20))
    told = []
    for pieces in ([samples], np.split(samples, cuts)):
        heard = Heard(iter(pieces), Brightness(), Loudness())
        heard.rows(0, 40)
        heard.finish()
        told.append(heard.shapes)
    assert told[0] is not None and told[0].shape == (300, 2)
    np.testing.assert_allclose(told[0], told[1], atol=1e-4)
    assert Heard(iter([samples]), Brightness()).shapes is None


def test_a_video_is_scored_by_both(tmp_path: Path) -> None:
    said, other = code(100, 1), code(100, 2)
    talk(tmp_path / "a.mp4", 4, 3, mouths=(said, None), heard=said)
    both = score(tmp_path / "a.mp4", parts=Parts(Lips, Brightness(), Loudness()))
    alone = score(tmp_path / "a.mp4", parts=Parts(Lips, Brightness()))
    assert both.offset_frames == alone.offset_frames == pytest.approx(3, abs=0.25)
    assert both.probability > 0.9 and both.probability != alone.probability

    class Deaf(Loudness):
        """Hears somebody else."""

        def stream(self) -> Loudness:
            return _Other(other)

    with pytest.raises(UnsureError, match="do not clearly follow"):
        score(tmp_path / "a.mp4", parts=Parts(Lips, Brightness(), Deaf()))


class _Other(Loudness):
    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes

    def push(self, samples: Float) -> Float:
        return np.zeros((0, 16), np.float32)

    def finish(self) -> Float:
        return (8 * self.codes[:, None] * geometry.opening_direction()).astype(np.float32)
