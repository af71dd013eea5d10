"""A person's manner of speaking: the correction in pieces and as a whole, in a person file, and how it is learnt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kouxing.errors import OptionError, WeightError
from kouxing.infer import person
from kouxing.infer.dub import dub
from kouxing.infer.manner import SHAPE, Manner, corrected
from kouxing.infer.parts import shipped

from .test_person import about, tensors


class Rows:
    """A stream whose samples are features already."""

    def __init__(self, owed: int = 0) -> None:
        self.owed = np.zeros((owed, 16), np.float32)

    def push(self, samples: np.ndarray) -> np.ndarray:
        return samples.reshape(-1, 16)

    def finish(self) -> np.ndarray:
        return self.owed


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, SHAPE).astype(np.float32)


@pytest.mark.parametrize("pieces", [(60,), (1,) * 60, (0, 3, 2, 0, 30, 25)])
def test_pieces_give_what_the_whole_gives(weights: np.ndarray, pieces: tuple[int, ...]) -> None:
    heard = np.random.default_rng(1).normal(size=(60, 16)).astype(np.float32)
    stream, made, place = Manner(Rows(), weights), [], 0
    for count in pieces:
        made.append(stream.push(heard[place : place + count].ravel()))
        place += count
    made.append(stream.finish())
    np.testing.assert_allclose(np.concatenate(made), corrected(heard, weights), atol=1e-5)
    assert np.abs(corrected(heard, weights) - heard).max() > 0.1
    # What comes later changes nothing: the correction waits for no sound.
    np.testing.assert_allclose(corrected(heard[:20], weights), corrected(heard, weights)[:20], atol=1e-5)


def test_a_person_file_keeps_it_and_refuses_a_wrong_one(weights: np.ndarray, tmp_path: Path) -> None:
    whole = {**tensors(), person.MANNER: weights}
    person.save(tmp_path / "anna.kx", "fast", whole, about())
    whom = person.load(tmp_path / "anna.kx")
    assert whom.manner is not None and np.array_equal(whom.manner, weights)
    assert person.save(tmp_path / "plain.kx", "fast", tensors(), about()).manner is None
    for wrong in (weights[:-1], weights.astype(np.float16), np.full(SHAPE, np.nan, np.float32)):
        with pytest.raises(WeightError, match=person.MANNER):
            person.save(tmp_path / "wrong.kx", "fast", {**whole, person.MANNER: wrong}, about())
    assert shipped(whom).identity("fast") != shipped(whom, own_voice=False).identity("fast")


def test_a_manner_of_what_other_weights_heard_is_left_out(tmp_path: Path) -> None:
    whole = {**tensors(), person.MANNER: np.full(SHAPE, 0.01, np.float32)}
    path = tmp_path / "anna.kx"
    person.save(path, "fast", whole, about())
    assert not person.load(path).deaf and person.load(path).manner is not None
    path = tmp_path / "old.kx"
    person.save(path, "fast", whole, {**about(), "ears": {"speech": "0123"}})
    assert person.load(path).deaf and person.load(path).manner is None


def test_it_speaks_for_the_persons_own_voice_only(weights: np.ndarray, tmp_path: Path) -> None:
    whom = person.save(tmp_path / "anna.kx", "fast", {**tensors(), person.MANNER: weights}, about())
    sound = np.random.default_rng(2).normal(0, 0.1, 32_000).astype(np.float32)
    heard = []
    for parts in (shipped(), shipped(whom), shipped(whom, own_voice=False)):
        stream = parts.speech()
        heard.append(np.concatenate([stream.push(sound), stream.finish()]))
    np.testing.assert_array_equal(heard[0], heard[2])
    assert np.abs(heard[0] - heard[1]).max() > 0.1
    for voice, words in (("someone", "choose one of own, other"), ("other", "goes with --person")):
        with pytest.raises(OptionError, match=words):
            dub(tmp_path / "a.mp4", tmp_path / "b.wav", tmp_path / "c.mp4", voice=voice)


def test_it_is_learnt_where_it_helps_and_not_from_noise() -> None:
    pytest.importorskip("torch")
    from kouxing.data.footage import Footage
    from kouxing.train.fit_footage import Taken
    from kouxing.train.fit_manner import learnt_manner

    rng = np.random.default_rng(3)
    heard = rng.normal(0, 1, (900, 16)).astype(np.float32)
    turned = (heard * 0.5 + 0.8 * np.roll(heard, 1, 0)).astype(np.float32)
    held = np.arange(900) % 180 > 150
    blank = np.zeros(900, bool)

    def taken(real: np.ndarray) -> Taken:
        empty = np.zeros(0, np.float32)
        own = dict.fromkeys(Footage.__dataclass_fields__, empty) | {"geometry": real, "silent": blank, "found": ~blank}
        return Taken(Footage(**own), heard, blank.astype(np.float32), ~held, held)

    found = learnt_manner([taken(turned)])
    assert found.weights is not None and found.gain > 0.9
    assert np.abs(found.corrected(heard) - turned)[5:].mean() < 0.1
    assert learnt_manner([taken(rng.normal(0, 1, (900, 16)).astype(np.float32) + heard)]).weights is None
    # Silence teaches nothing: its features have their own rule.
    dumb = taken(turned)
    dumb = replace(dumb, footage=replace(dumb.footage, silent=~blank))
    assert learnt_manner([dumb]).weights is None
