"""Measures of sync: AUC, planted offsets, calibration, the ways of spoiling, and the landmark baseline."""

from __future__ import annotations

import numpy as np
import pytest

from fake_media import wave
from kouxing.audio.encoder import SpeechEncoder
from kouxing.audio.features import frame_mels, log_mel
from kouxing.eval import sync_corrupt
from kouxing.eval.sync_calibration import Embedded, calibration_error, fit, reliability, samples
from kouxing.eval.sync_clips import aucs, correlation_lag
from kouxing.eval.sync_metrics import (
    auc,
    averaged,
    cosines,
    inner_windows,
    is_right,
    moving,
    pair_figures,
    planted,
    voted,
    whole_clip,
)  # fmt: skip
from kouxing.eval.sync_second import hear, mixed, outlined
from kouxing.face import offset
from kouxing.face.offset import REACH, Calibration, find_offset, similarities, votes
from kouxing.infer.score_opinion import Shapes, heard_rows, seen_rows, shapes
from kouxing.units import SAMPLE_HZ


def unit_rows(frames: int, seed: int) -> np.ndarray:
    raw = np.random.default_rng(seed).normal(0, 1, (frames, 16)).astype(np.float32)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def clip(name: str, seed: int, frames: int = 90, noise: float = 1.0, part: str = "grid") -> Embedded:
    """Vectors that belong together but for noise, with the ends unseen."""
    mouth = unit_rows(frames, seed)
    speech = mouth + noise * unit_rows(frames, seed + 1000)
    speech /= np.linalg.norm(speech, axis=1, keepdims=True)
    mouth[:2], mouth[-2:], speech[:2], speech[-2:] = np.nan, np.nan, np.nan, np.nan
    return Embedded(name, part, mouth, speech, np.ones(frames, bool), 2)


def test_auc() -> None:
    assert auc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1
    assert auc(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == 0.5
    assert np.isnan(auc(np.zeros(0), np.ones(3)))


def test_pairs_of_a_clip_and_longer_windows() -> None:
    one = clip("a", 0)
    sims = similarities(one.mouth, one.speech)
    true, false = pair_figures(sims)
    assert len(true) == 86 and true.mean() > 0.5 > abs(false.mean())
    assert len(averaged(sims, 21)) == 70 and auc(*pair_figures(averaged(sims, 21), 13)) > 0.999
    assert averaged(sims[:5], 21).shape == (0, 31)


def test_windows_of_strangers_are_told_by_what_moves() -> None:
    """A face that resembles every sound a little is no help; what lies outside of a window does not count."""
    rng = np.random.default_rng(5)
    told: dict[str, list[np.ndarray]] = {"cosines": [], "moving": []}
    for number in range(6):
        one = clip("a", number)
        bias = rng.normal(0, 0.6, one.mouth.shape[1]).astype(np.float32)
        pairs = {"cosines": cosines(one.mouth + bias, one.speech + bias, 21)}
        pairs["moving"] = moving(one.mouth + bias, one.speech + bias, 21)
        for name, values in pairs.items():
            told[name].append(values)
    worth = {name: auc(*pair_figures(np.concatenate(values), 13)) for name, values in told.items()}
    assert worth["moving"] > worth["cosines"]
    one = clip("a", 0)
    np.testing.assert_allclose(moving(one.mouth, one.speech, 1), cosines(one.mouth, one.speech, 1), atol=1e-6)
    mouth, speech = one.mouth.copy(), one.speech.copy()
    mouth[:20], mouth[41:], speech[:20], speech[41:] = 0.1, 0.1, 0.1, 0.1
    inside = moving(mouth, speech, 21)[20, REACH]
    assert inside == pytest.approx(moving(one.mouth, one.speech, 21)[20, REACH], abs=1e-5)
    assert inside == pytest.approx(offset.alike(one.mouth[20:41], one.speech[20:41], 21)[0], abs=1e-5)
    assert offset.alike(one.mouth[20:21], one.speech[20:21], 1) == pytest.approx(
        similarities(*_vectors(one))[20, REACH]
    )
    assert moving(one.mouth[:5], one.speech[:5], 21).shape == (0, 31)


def test_votes_weigh_pairs_against_their_neighbours() -> None:
    one = clip("a", 0)
    told = voted(one.mouth, one.speech, 1, 8.0)
    sims = similarities(one.mouth, one.speech)
    assert np.array_equal(np.isnan(told), np.isnan(sims))
    known = np.isfinite(told)
    np.testing.assert_allclose(told[known], votes(sims, 8.0)[known])
    # A mouth that resembles every sound equally says nothing of any.
    mouth, speech = np.ones((60, 4), np.float32) / 2, np.ones((60, 4), np.float32) / 2
    np.testing.assert_allclose(voted(mouth, speech, 1, 8.0)[20:40], 0, atol=1e-5)


def test_planted_offsets_are_found_in_whole_clips_and_windows() -> None:
    one = clip("a", 0, frames=120)
    mouth, speech = planted(one.mouth, one.speech, 4)
    assert len(mouth) == 116 and find_offset(similarities(mouth, speech)).frames == pytest.approx(4, abs=0.5)
    whole = list(whole_clip(one.mouth, one.speech, one.spoken, 0.0))
    assert [late for late, _ in whole] == list(range(-15, 16)) and all(
        is_right(late, told, 0.0) for late, told in whole
    )
    # A clip that is 12 late by itself has room for three more only.
    late_by_itself = planted(one.mouth, one.speech, 12)
    told = list(whole_clip(*late_by_itself, one.spoken[:108], 12.0))
    assert max(late for late, _ in told) == 3 and all(is_right(late, found, 12.0) for late, found in told)
    rng = np.random.default_rng(0)
    inner = list(inner_windows(one.mouth, one.speech, one.spoken, 0.0, rng, 30, 2))
    assert len(inner) == 30 and np.mean([is_right(late, told, 0.0) for late, told in inner]) > 0.95
    assert len({late for late, _ in inner}) > 10 and all(told.rows == 21 for _, told in inner)
    assert not list(inner_windows(one.mouth[:40], one.speech[:40], one.spoken[:40], 0.0, rng, 30, 2))
    assert not list(inner_windows(one.mouth, one.speech, ~one.spoken, 0.0, rng, 5, 2))


def test_calibration_tells_true_chances() -> None:
    clips = [clip(f"c{n}", n, 130, noise=2.5 + 0.3 * n) for n in range(8)]
    rows, right = samples(clips, Calibration(8.0), count=4)
    assert 0.1 < right.mean() < 0.95 and rows.shape == (len(right), 4)
    fitted = fit(rows, right, 8.0)
    chances = np.array([1 / (1 + np.exp(-(row @ fitted.weights[:-1] + fitted.weights[-1]))) for row in rows])
    assert calibration_error(chances, right) < 0.06
    assert chances[right].mean() > chances[~right].mean() + 0.3
    told = reliability(chances, right)
    assert sum(row["count"] for row in told) == len(right)
    with pytest.raises(ValueError, match="long enough"):
        fit(np.zeros((0, 4), np.float32), np.zeros(0, bool), 8.0)


def test_a_second_opinion_on_the_same_pairs() -> None:
    """The products of the joined vectors are the cosine and the mean of five opinions."""
    one = clip("a", 0, 60)
    rng = np.random.default_rng(4)
    lips = np.cumsum(rng.normal(0, 1, (66, 2)), 0).astype(np.float32)
    told = Shapes(lips[3:63], lips[:60])
    both = mixed(one, told)
    pairs = similarities(seen_rows(told.seen), heard_rows(told.heard))
    wanted = similarities(one.mouth, one.speech)[20:40] + averaged(pairs, 5)[18:38]
    np.testing.assert_allclose(similarities(both.mouth, both.speech)[20:40], wanted, atol=1e-4)
    assert np.isnan(both.mouth[:2]).any(1).all() and both.reach == one.reach
    # Lips that move with the sound make true pairs stand out where the discriminator knows nothing.
    blank = Embedded("b", "grid", np.zeros((60, 4), np.float32), np.zeros((60, 4), np.float32), np.ones(60, bool), 2)
    assert auc(*pair_figures(similarities(*_vectors(mixed(blank, Shapes(lips[3:63], lips[3:63])))))) > 0.8


def _vectors(one: Embedded) -> tuple[np.ndarray, np.ndarray]:
    return one.mouth, one.speech


def test_lips_are_those_of_every_second_picture() -> None:
    shapes_of = np.random.default_rng(0).normal(0, 1, (21, 16)).astype(np.float32)
    found = np.ones(21, bool)
    found[[4, 9]] = False
    told = outlined(shapes_of, found)
    np.testing.assert_allclose(told[::2][found[::2]], shapes(shapes_of)[::2][found[::2]], atol=1e-5)
    np.testing.assert_allclose(told[11], (told[10] + told[12]) / 2, atol=1e-5)
    assert np.isnan(told[[4, 9]]).all() and np.isfinite(told[found]).all()
    assert np.isnan(outlined(shapes_of, np.zeros(21, bool))).all()


def test_what_is_heard_in_a_clip_is_what_a_stream_hears() -> None:
    samples = wave("speechlike", 2.0, SAMPLE_HZ)
    encoder = SpeechEncoder(threads=1)
    stream = encoder.stream()
    wanted = shapes(np.concatenate([stream.push(samples), stream.finish()]))
    np.testing.assert_allclose(hear(encoder, frame_mels(log_mel(samples), 50)), wanted, atol=1e-3)


def test_aucs_use_the_clips_own_offset() -> None:
    clips = [clip("a", 0), clip("b", 1), clip("c", 2, part="wild"), clip("d", 3, part="wild")]
    moved = [Embedded(o.id, o.part, *planted(o.mouth, o.speech, 3), o.spoken[3:], 2) for o in clips]
    speakers = {"a": "s", "b": "s", "c": "t", "d": "u"}
    told = aucs(moved, speakers, dict.fromkeys(speakers, 3))
    assert set(told) == {"auc5_grid", "auc25_grid", "auc5_wild", "auc25_wild"}
    assert min(told.values()) > 0.95 and told["auc25_grid"] >= told["auc5_grid"]
    assert aucs(moved, speakers, {})["auc5_grid"] < 0.7


@pytest.mark.parametrize("way", sync_corrupt.SOUND)
def test_sound_is_spoiled_where_it_is_and_no_later(way: str) -> None:
    samples_in = (0.3 * np.sin(np.arange(32_000) * 0.05)).astype(np.float32)
    made = sync_corrupt.SOUND[way](samples_in, np.random.default_rng(0))
    assert made.shape == samples_in.shape and made.dtype == np.float32
    change = made - samples_in
    assert 0.05 < change.std() / samples_in.std() < 2
    lags = np.correlate(made[8000:24000], samples_in[8000:24000], "same")
    assert abs(int(lags.argmax()) - 8000) < 20


@pytest.mark.parametrize("way", sync_corrupt.PICTURE)
def test_pictures_are_spoiled(way: str) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    made = sync_corrupt.PICTURE[way](crop)
    assert made.shape == crop.shape and made.dtype == np.uint8 and np.abs(made.astype(int) - crop).mean() > 10


def test_landmark_baseline_finds_a_lag() -> None:
    heard = np.convolve(np.random.default_rng(0).normal(0, 1, 120), np.ones(4), "same")
    seen = heard.copy()
    seen[50:55] = np.nan
    assert correlation_lag(seen[6:], heard[:-6]) == 6 and correlation_lag(seen[:-3], heard[3:]) == -3
    assert correlation_lag(np.full(80, np.nan), heard[:80]) == 0
