"""Samples: the mask hides the lower half, batches repeat by number, the selector picks what the method says."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from fake_data import make_data
from kouxing.audio.phone_ear import SPOKEN
from kouxing.data import lips
from kouxing.data.footage import Footage, load_footage
from kouxing.data.lips import AROUND, FEATURES, MARGIN_PX, LipsSamples, mask, region, select
from kouxing.data.references import APART, choose
from kouxing.data.speech import SpeechWindows, shares
from kouxing.face import geometry
from kouxing.face.geometry import GEOMETRY
from kouxing.face.landmarks import GAP_LOWER, GAP_UPPER
from kouxing.face.mask import mask as paste_mask
from kouxing.face.mouth_picture import TOP_PX
from kouxing.face.nearness import touching
from kouxing.face.pressed import pressed
from kouxing.units import HALF_PX, MELS_PER_FRAME


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> list[Footage]:
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOUXING_CACHE", str(folder / "cache"))
        data = make_data(folder / "set")
        first = load_footage(data, "train")
        again = load_footage(data, "train")
    assert [clip.clip.id for clip in first] == [clip.clip.id for clip in again] == ["clip-0", "clip-1"]
    return again


def test_prepared_footage_fits_together(footage: list[Footage]) -> None:
    clip = footage[0]
    assert clip.mel.shape == (len(clip) * MELS_PER_FRAME, 80)
    assert clip.crop(0).shape == (256, 256, 3)
    # The drawn mouth's gap is what aperture and opening follow.
    from kouxing.face import geometry

    assert np.corrcoef(clip.aperture, geometry.opening(clip.geometry))[0, 1] > 0.99
    # Lips are dark red in the crop where the landmarks say.
    x, y = clip.lips[0, 5].astype(int)
    assert clip.crop(0)[y - 4, x, 0] > clip.crop(0)[y - 4, x, 1] + 20


def test_selector() -> None:
    features = np.arange(20, dtype=np.float32)[:, None]
    assert select(features, 8, 11, 1)[:, 0].tolist() == list(range(3, 14))
    assert select(features, 10, 11, 2)[:, 0].tolist() == [*range(0, 20, 2), 0]
    assert select(features, 0, 5, 1)[:, 0].tolist() == [0, 0, 0, 1, 2]


def test_mask_hides_everything_below(footage: list[Footage]) -> None:
    crop = footage[0].crop(3)
    masked = mask(crop, HALF_PX)
    assert not masked[HALF_PX:].any() and (masked[:HALF_PX] == crop[:HALF_PX]).all()


def test_region_counts_the_mouth_most(footage: list[Footage]) -> None:
    lips = footage[0].lips[0]
    weight = region(lips, footage[0].jaw[0])
    x, y = lips.mean(0)
    assert weight.shape == (32, 64)
    chin, background = weight[20, 32], weight[0, 0]
    assert weight[int((y - HALF_PX) / 4), int(x / 4)] > 3.5 > 1.2 > chin > 0.9 > 0.4 > background


def test_region_is_what_is_pasted(footage: list[Footage]) -> None:
    lips, jaw = footage[0].lips[0], footage[0].jaw[0]
    pasted = paste_mask(np.eye(2, 3, dtype=np.float32), jaw, lips)[HALF_PX:]
    weight = cv2.resize(region(lips, jaw, 0.0), pasted.shape[::-1], interpolation=cv2.INTER_NEAREST)
    assert (weight[pasted == 1] > 0.85).all() and (weight[pasted == 0] < 0.45).all()
    assert region(lips, jaw, 1.0).max() == pytest.approx(2.0, abs=0.05)


def samples(footage: list[Footage]) -> LipsSamples:
    predicted = [clip.geometry for clip in footage]
    return LipsSamples(footage, predicted, clips=3, run=2, window=11, spacing=1, seed=1)


def test_batches_repeat_by_number(footage: list[Footage]) -> None:
    one, same, other = samples(footage)(5), samples(footage)(5), samples(footage)(6)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["real"], other["real"])
    assert one["frame"].shape == (6, 3, 256, 256) and one["references"].shape == (9, 3, 256, 256)
    assert one["mel"].shape == (3, (2 + 2 * AROUND) * MELS_PER_FRAME, 80)
    assert one["above"].shape == (
        6,
        3,
        HALF_PX - TOP_PX,
        256,
    )
    assert (
        one["audio"].shape == (6, 11, FEATURES)
        and one["own"].shape == (3, 3, FEATURES)
        and one["lips"].shape == (6, 40, 2)
    )


def test_the_answer_is_hidden_from_the_frame(footage: list[Footage]) -> None:
    batch = samples(footage)(0)
    assert not batch["frame"][:, :, HALF_PX:].any()
    assert batch["frame"][:, :, : HALF_PX - MARGIN_PX].any()


def test_resting_runs_show_closed_lips_under_silence(footage: list[Footage]) -> None:
    clip = footage[0]
    parted = clip.lips.copy()
    parted[:, GAP_UPPER, 1] = parted[:, GAP_LOWER, 1] - 6
    lips = parted.copy()
    closed = np.arange(len(clip)) % 10 < 4
    lips[closed, GAP_UPPER] = lips[closed, GAP_LOWER]
    shut, clip = dataclasses.replace(clip, lips=lips), dataclasses.replace(clip, lips=parted)
    made = LipsSamples([shut], [clip.geometry + 5], clips=16, run=2, window=11, spacing=1, seed=1, resting=1.0)(0)
    assert bool(geometry.gap(made["lips"].numpy()).max() < 1e-3)
    middle = made["audio"][:, 5, :GEOMETRY].numpy()
    assert np.allclose(middle, pressed(np.zeros(16, np.float32)), atol=1e-6)
    # Silence ends somewhere: speech before or after it is heard as it is.
    assert float(made["audio"].max()) > 3
    awake = LipsSamples([clip], [clip.geometry + 5], clips=8, run=2, window=11, spacing=1, seed=1, resting=1.0)(0)
    assert float(geometry.gap(awake["lips"].numpy()).min()) * HALF_PX > geometry.CLOSED_GAP_PX


def test_speech_windows(footage: list[Footage]) -> None:
    windows = SpeechWindows(footage, frames=30, batch=4, around=(24, 16), seed=0)
    batch = windows(0)
    assert batch["mel"].shape == (4, 40 + 30 * MELS_PER_FRAME, 80) and batch["geometry"].shape == (4, 30, 16)
    assert ((batch["mask"] == 0) | (batch["mask"] == 1)).all() and batch["mask"].sum(1).min() >= 10
    assert all(torch.equal(batch[name], windows(0)[name]) for name in batch)
    assert np.isclose(shares(footage).sum(), 1)


@pytest.mark.parametrize("run", [2, 5, 14])
def test_references_keep_away_from_the_whole_run(
    footage: list[Footage], monkeypatch: pytest.MonkeyPatch, run: int
) -> None:
    asked: list[np.ndarray] = []
    firsts: list[int] = []

    def watched(aperture: object, pose: object, own: object, usable: np.ndarray, **more: object) -> list[int]:
        asked.append(np.flatnonzero(usable))
        return choose(aperture, pose, own, usable, **more)  # type: ignore[arg-type]

    first = LipsSamples._first
    monkeypatch.setattr(lips, "choose", watched)
    monkeypatch.setattr(LipsSamples, "_first", lambda *given: firsts.append(first(*given)) or firsts[-1])
    clip = footage[0]
    LipsSamples([clip], [clip.geometry], clips=6, run=run, window=11, spacing=1, seed=1, resting=0.0)(0)
    assert len(asked) == len(firsts) == 6
    for usable, begin in zip(asked, firsts, strict=True):
        away = np.maximum(begin - usable, usable - (begin + run - 1))
        assert len(usable) and away.min() >= APART


def test_runs_lie_where_the_face_is_found(footage: list[Footage]) -> None:
    clip = footage[0]
    found = np.ones(len(clip), bool)
    found[4::7] = False
    lost = dataclasses.replace(clip, found=found)
    sampler = LipsSamples([lost], [clip.geometry], clips=4, run=5, window=11, spacing=1, seed=1)
    rng = np.random.default_rng(0)
    starts = {sampler._first(lost, rng) for _ in range(200)}
    assert len(starts) > 3 and all(found[first : first + 5].all() for first in starts)
    # Where no run is whole, training goes on with what there is.
    never = dataclasses.replace(clip, found=np.arange(len(clip)) % 3 > 0)
    assert never.found[sampler._first(never, rng)]


def test_what_is_said_comes_along_but_for_a_share(footage: list[Footage]) -> None:
    said = [np.concatenate([clip.geometry, np.full((len(clip), SPOKEN), 2.0)], 1, dtype=np.float32) for clip in footage]
    batches = [LipsSamples(footage, said, clips=4, run=2, window=3, spacing=1, seed=1)(n) for n in range(12)]
    middle = torch.cat([batch["audio"][::2, 1, GEOMETRY:] for batch in batches])
    known = (middle == 2).all(1)
    assert bool((known | (middle == 0).all(1)).all()) and 0.7 < float(known.float().mean()) < 1
    assert all(not batch["own"][..., GEOMETRY:].any() for batch in batches)
    narrow = LipsSamples(footage, said, clips=2, run=2, window=3, spacing=1, seed=1, width=GEOMETRY)(0)
    assert narrow["audio"].shape[-1] == narrow["own"].shape[-1] == GEOMETRY


def test_unpaired_runs_are_driven_as_dubs_are(footage: list[Footage]) -> None:
    """By what is heard alone, with near lips touching."""
    heard = [np.broadcast_to(geometry.opening_direction() * 5, clip.geometry.shape) for clip in footage]
    made = LipsSamples(footage, heard, clips=8, run=2, window=5, spacing=1, seed=1, unpaired=1.0)(0)
    wanted = touching(heard[0])[0]
    middle = made["audio"][:, 2, :GEOMETRY].numpy()
    assert not bool(made["paired"]) and not np.allclose(wanted, heard[0][0])
    np.testing.assert_allclose(middle, np.broadcast_to(wanted, middle.shape), atol=1e-6)
