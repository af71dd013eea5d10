"""The lip reader: ends do not matter, it learns words, it decodes, it serves as a frozen loss, it resumes."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from kouxing.data import lipreading as data_module
from kouxing.data.grid import LEXICON, PHONES, Word, phones_of
from kouxing.data.lipreading import LipReadingSamples
from kouxing.data.manifest import Clip
from kouxing.data.mouths import Mouths
from kouxing.errors import DataError
from kouxing.eval.lipreading import edits, error_rate, errors_of, grammar_words, greedy, load
from kouxing.losses.lipreading import ctc_loss, expert_loss
from kouxing.models.lipreader import LipReader, LipReaderDimensions
from kouxing.train import lipreader as recipe
from kouxing.train.card import inherited
from kouxing.train.loop import BEST, Schedule, write_aside

SMALL = LipReaderDimensions(len(PHONES), (4, 8, 8, 8), 16, 12, dropout=0.0)


def quiet(_: str) -> None:
    pass


def said(words: tuple[str, ...], hold: int = 2, sure: float = 0.9) -> np.ndarray:
    """Log probabilities as a good reader gives them: each phone for ``hold`` frames, a blank between."""
    classes = [0]
    for word in words:
        for phone in LEXICON[word]:
            classes += [PHONES.index(phone) + 1] * hold + [0]
    table = np.full((len(classes), len(PHONES) + 1), (1 - sure) / len(PHONES))
    table[np.arange(len(classes)), classes] = sure
    return np.log(table).astype(np.float32)


def test_decoding() -> None:
    words = ("place", "white", "with", "q", "seven", "again")
    table = said(words)
    assert tuple(greedy(table)) == phones_of(tuple(Word(word) for word in words))
    assert grammar_words(table) == words
    # A phone that was misread is mended by the grammar, the letter in the middle too.
    noisy = table + np.random.default_rng(0).normal(0, 0.8, table.shape).astype(np.float32)
    noisy -= np.log(np.exp(noisy).sum(1, keepdims=True))
    assert grammar_words(noisy) == words
    # Equal phones meet where "red" is followed by "d" sounds: a blank must lie between.
    for letter, digit in product("sz", ("six", "zero", "seven")):
        told = ("set", "red", "in", letter, digit, "soon")
        assert grammar_words(said(told)) == told
    assert greedy(np.log(np.eye(4, dtype=np.float32)[[1, 1, 0, 1, 2, 2, 0, 0]] + 1e-9)) == [0, 0, 1]


def test_errors() -> None:
    assert edits("kitten", "sitting") == 3 and edits("", "abc") == 3 and edits("abc", "abc") == 0
    assert error_rate([("ab", "ab"), ("a", "ab")]) == 0.25 and np.isnan(error_rate([]))


def test_figures_of_what_was_read() -> None:
    row = {"words": ["bin", "a"], "phones": [1, 2, 3, 4]}
    row |= {"real_words": ["bin", "b"], "real_phones": [1, 2, 3], "dubbed_words": ["x", "b"], "dubbed_phones": [1, 2]}
    found = errors_of([row])
    assert found["real_word_error"] == 0.5 and found["dubbed_word_error"] == 1 and found["word_ratio"] == 2
    assert found["real_phone_error"] == 0.25 and found["lipread_ratio"] == 2


def test_nothing_beyond_a_length_is_looked_at() -> None:
    torch.manual_seed(0)
    model = LipReader(SMALL).eval()
    pictures = torch.rand(2, 20, 48, 64)
    lengths = torch.tensor([20, 12])
    with torch.no_grad():
        whole, _, seen = model(pictures, lengths)
        changed = pictures.clone()
        changed[1, 12:] = torch.rand(8, 48, 64)
        again, _, _ = model(changed, lengths)
        alone, _, alone_seen = model(pictures[1:, :12], torch.tensor([12]))
    assert whole.shape == (2, 20, len(PHONES) + 1) and seen.shape == (2, 20, 16)
    torch.testing.assert_close(whole.exp().sum(-1)[0], torch.ones(20))
    torch.testing.assert_close(again[1, :12], whole[1, :12])
    torch.testing.assert_close(alone[0], whole[1, :12], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone_seen[0], seen[1, :12], atol=1e-5, rtol=1e-4)


def test_loss_is_ctc_and_unknown_words_cost_nothing() -> None:
    probs = torch.tensor([[[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]]])
    both = probs.log().repeat(2, 1, 1)
    args = (torch.tensor([2, 2]), torch.tensor([[0], [1]]))
    # Phone 0 in two frames: (blank, p), (p, blank), (p, p).
    wanted = -np.log(0.6 * 0.7 + 0.3 * 0.2 + 0.3 * 0.7)
    assert float(ctc_loss(both, *args, torch.tensor([1, 0]))) == pytest.approx(wanted, abs=1e-5)
    assert float(ctc_loss(both, *args, torch.tensor([0, 0]))) == 0
    # What cannot be said in so few frames costs nothing instead of infinity.
    assert float(ctc_loss(both, args[0], torch.tensor([[0, 0, 0]] * 2), torch.tensor([3, 3]))) == 0


def test_frozen_reader_leads_pictures_to_what_is_said() -> None:
    torch.manual_seed(0)
    model = LipReader(SMALL).eval().requires_grad_(False)
    crops = torch.rand(2, 8, 3, 256, 256)
    crops.requires_grad_(True)
    phones, counts = torch.tensor([[3, 5], [0, 0]]), torch.tensor([2, 0])
    loss = expert_loss(model, crops, phones, counts)
    (gradient,) = torch.autograd.grad(loss, crops)
    assert gradient[0].abs().sum() > 0 and gradient[1].abs().sum() == 0
    assert gradient[0, :, :, :120].abs().sum() == 0
    with torch.no_grad():
        assert expert_loss(model, crops - 2000 * gradient, phones, counts) < loss
        assert expert_loss(model, crops, phones, torch.tensor([0, 0])) == 0


def spoken_clip(name: str, words: tuple[str, ...], rng: np.random.Generator) -> tuple[Mouths, tuple[Word, ...]]:
    """A mouth whose height tells the phone."""
    heights, told = [3, 3], []
    for word in words:
        first = len(heights)
        for phone in LEXICON[word]:
            heights += [6 + PHONES.index(phone)] * 3 + [3]
        told.append(Word(word, first, len(heights)))
    heights += [3, 3]
    pictures = np.full((len(heights), 48, 64), 150, np.uint8)
    for picture, height in zip(pictures, heights, strict=True):
        picture[24 - height // 2 : 24 + height // 2 + 1, 16:48] = 20
    frames = len(heights)
    noise = rng.integers(0, 10, pictures.shape).astype(np.uint8)
    return Mouths(
        Clip(name, "train", "s", "en", frames / 25, "open", "made"), pictures + noise,
        np.zeros((4 * frames, 80), np.float32), np.zeros((frames, 16), np.float32), np.zeros(frames, np.float32),
        np.zeros(frames, bool), np.ones(frames, bool),
    ), tuple(told)  # fmt: skip


def test_it_learns_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    spoken = [spoken_clip(f"c{n}", words, rng) for n, words in enumerate([("bin", "a"), ("a", "bin"), ("bin",)])]
    clips, words = [one for one, _ in spoken], {one.clip.id: told for one, told in spoken}
    monkeypatch.setattr(recipe, "load_mouths", lambda data, split: clips)
    monkeypatch.setattr(recipe, "transcripts", lambda data: words)
    monkeypatch.setattr(recipe, "LipReaderDimensions", lambda phones: SMALL)
    monkeypatch.setattr(data_module.sync_augment, "seen", lambda pictures, rng, hard: pictures)
    head = "id,split,speaker,language,seconds,licence,corpus\n"
    (tmp_path / "manifest.csv").write_text(head + "c0,train,s,en,3,research,theirs\n", "utf-8")
    schedule = Schedule(steps=6, batch=4, rate=5e-3, warmup=1, validate_every=3)
    lines: list[str] = []
    recipe.main(tmp_path, tmp_path / "run", schedule=schedule, report=lines.append)
    assert any(line.startswith("val: 3 sentences") for line in lines)
    model = load(tmp_path / "run")
    assert not model.training
    # What learns against it is not free of its footage's licence.
    assert [(one["source"], one["licence"]) for one in inherited(tmp_path / "run")] == [("theirs", "research")]
    # The loss falls by much on so easy a task.
    samples = LipReadingSamples(clips, words, 4)
    task = recipe.LipReaderTask(LipReader(SMALL), samples, clips, words)
    optimiser = torch.optim.Adam(task.model.parameters(), 5e-3)
    seen = []
    for number in range(40):
        loss, figures = task.step(task.model, task.batch(number), 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(float(figures["lipreader/phones"]))
    assert np.mean(seen[-5:]) < 0.5 * seen[0]


def test_a_missing_or_other_reader_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train lipreader"):
        load(tmp_path)
    write_aside(tmp_path / BEST, {"x": torch.zeros(1)}, {})
    with pytest.raises(DataError, match="no lip reader"):
        load(tmp_path)
