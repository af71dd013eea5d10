"""The generator's loss table: each term can be switched, experts come in when asked, critics late, and are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fake_data import make_data
from kouxing.data.footage import Footage, load_footage
from kouxing.data.grid import PHONES, Word
from kouxing.data.lips import AROUND, LipsSamples
from kouxing.errors import OptionError
from kouxing.models.lipreader import LipReader, LipReaderDimensions
from kouxing.models.lips import Lips, LipsDimensions
from kouxing.models.shape import ShapeReader
from kouxing.models.sync import Discriminator, SyncDimensions
from kouxing.train.lips_task import JUDGED_RUN, WEIGHTS, LipsTask, loss_table

SMALL = LipsDimensions(encoder=(8, 8, 8, 8, 8), fusion=16, drive=16, decoder=(8, 8, 8, 8, 8))
WORDS = (Word("bin", 3, 8), Word("blue", 20, 26))


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> list[Footage]:
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOUXING_CACHE", str(folder / "cache"))
        return load_footage(make_data(folder / "set"), "train")


def samples(
    footage: list[Footage], run: int, words: dict[str, tuple[Word, ...]] | None = None, unpaired: float = 0.0
) -> LipsSamples:
    features = [np.zeros((len(clip), 16), np.float32) for clip in footage]
    return LipsSamples(
        footage, features, clips=1, run=run, window=11, spacing=1, seed=0, words=words, unpaired=unpaired
    )


def task(footage: list[Footage], run: int = 2, **more: object) -> LipsTask:
    torch.manual_seed(0)
    words = more.pop("words", None)
    made = LipsTask(Lips(SMALL), samples(footage, run, words), ShapeReader(), [], **more)  # type: ignore[arg-type]
    made.model.train()
    return made


def stepped(one: LipsTask, progress: float = 0.0) -> dict[str, float]:
    loss, figures = one.step(one.model, one.batch(0), progress)
    loss.backward()
    return {name.removeprefix("lips/"): float(value) for name, value in figures.items()}


def test_each_term_can_be_switched_off(footage: list[Footage]) -> None:
    told = stepped(task(footage))
    present = [name for name in WEIGHTS if name in told]
    assert set(WEIGHTS) - set(present) == {"sync", "lipread", "lipread_features", "gan", "teacher"}
    assert told["loss"] == pytest.approx(sum(WEIGHTS[name] * told[name] for name in present), rel=1e-4)
    for name in ("texture", "perceptual", "warp"):
        less = stepped(task(footage, weights=loss_table({name: 0.0})))
        assert less["loss"] == pytest.approx(told["loss"] - WEIGHTS[name] * told[name], rel=1e-4)
    assert "perceptual" not in stepped(task(footage, weights=loss_table({"perceptual": 0.0})))
    for bad, said in (
        ({"hue": 1.0}, "no such loss"),
        ({"warp": -1.0}, "at least 0"),
        ({"warp": float("nan")}, "least 0"),
    ):
        with pytest.raises(OptionError, match=said):
            loss_table(bad)


def test_perceptual_looks_at_three_scales(footage: list[Footage]) -> None:
    one = task(footage)
    assert one.reader is not None
    sizes: list[int] = []
    maps = one.reader.maps
    one.reader.maps = lambda x: sizes.append(x.shape[-1]) or maps(x)  # type: ignore[assignment,func-returns-value]
    stepped(one)
    assert set(sizes) == {256, 128, 64}


def test_a_run_holds_a_word_and_the_reader_is_asked(footage: list[Footage]) -> None:
    words = {clip.clip.id: WORDS for clip in footage}
    given = samples(footage, 14, words)
    counts = [int(given(number)["counts"][0]) for number in range(12)]
    assert sum(count == 3 for count in counts) >= 7 and set(counts) <= {0, 3}
    batch = next(one for number in range(12) if int((one := given(number))["counts"][0]))
    assert batch["phones"].shape == (1, 14)
    assert [PHONES[int(place)] for place in batch["phones"][0, :3]] in (["B", "IH", "N"], ["B", "L", "UW"])
    reader = LipReader(LipReaderDimensions(len(PHONES), (4, 8, 8, 8), 16, 12)).eval().requires_grad_(False)
    told = stepped(task(footage, 14, words=words, lipreader=reader))
    assert told["lipread"] >= 0 and told["lipread_features"] > 0
    for name, other in (("lipread", "lipread_features"), ("lipread_features", "lipread")):
        off = stepped(task(footage, 14, words=words, lipreader=reader, weights=loss_table({name: 0.0})))
        assert name not in off and other in off


def test_critics_come_late_alone_first_and_are_kept(footage: list[Footage], tmp_path: Path) -> None:
    one = task(footage, weights=loss_table({"gan": 0.1}), gan_from=0.5)
    assert "gan" not in stepped(one, 0.4)
    before = [value.clone() for value in one.critics.state_dict().values()]
    early, late = stepped(one, 0.5), stepped(one, 0.9)
    assert early["gan"] == 0 and late["gan"] != 0 and late["critics"] > 0
    after = one.critics.state_dict().values()
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    one.held_out = [(footage[0], footage[0].geometry)]
    found = one.validate(one.model.eval(), tmp_path, 1)
    assert np.isfinite(found["score"])
    again = task(footage, weights=loss_table({"gan": 0.1}), gan_from=0.5)
    again.remember(one.memory())
    kept, told = one.memory(), again.memory()
    assert any(name.startswith("steps/") for name in kept) and kept.keys() == told.keys()
    assert all(torch.equal(kept[name], value) for name, value in told.items())


def test_anothers_speech_is_judged_by_experts_and_critics_alone(footage: list[Footage]) -> None:
    judge = Discriminator(SyncDimensions()).eval().requires_grad_(False)
    one = task(footage, judge=judge, weights=loss_table({"gan": 0.1}), gan_from=0.0)
    one.expert_samples = samples(footage, JUDGED_RUN, unpaired=1.0)
    assert not bool(one.batch(0)["paired"]) and len(one.batch(0)["frame"]) == JUDGED_RUN
    assert bool(one.batch(1)["paired"]) and len(one.batch(1)["frame"]) == 2
    assert set(stepped(one, 0.5)) == {"sync", "gan", "critics", "indecision", "loss"}
    one.expert_samples = samples(footage, JUDGED_RUN)
    assert {"sync", "reconstruction", "landmarks"} <= set(stepped(one, 0.5))


def test_anothers_speech_comes_with_its_own_words_and_sound(footage: list[Footage]) -> None:
    words = {footage[0].clip.id: WORDS}
    own, others = samples(footage, 14, words), samples(footage, 14, words, unpaired=1.0)
    batches = [others(number) for number in range(12)]
    assert all(not bool(batch["paired"]) for batch in batches) and all(bool(own(n)["paired"]) for n in range(3))
    said = [footage[0].mel[4 * first : 4 * (first + 14)] for first in range(len(footage[0]) - 13)]
    for batch in batches:
        if int(batch["counts"][0]):
            own = batch["mel"][0, 4 * AROUND : -4 * AROUND].numpy()
            assert any(np.array_equal(own, mel) for mel in said)
    assert any(int(batch["counts"][0]) for batch in batches)
