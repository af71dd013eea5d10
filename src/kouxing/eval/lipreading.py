"""``kouxing evaluate lipreading``: can dubbed mouths be read? By a lip reader that no training has used as a loss.

Its log probabilities are turned into phones (greedy), and into GRID's words by the corpus' own grammar.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from kouxing.data.grid import LEXICON, PHONES, WORDS, phones_of, transcripts
from kouxing.data.manifest import read_manifest
from kouxing.errors import DataError, OptionError
from kouxing.eval.judge import fit
from kouxing.eval.lips import OUT
from kouxing.eval.redub import Scene, Studio
from kouxing.eval.report import plain, write_text
from kouxing.face.mouth_picture import mouth_pictures
from kouxing.infer.parts import Parts, shipped
from kouxing.types import Bytes, Float, VideoFrame

if TYPE_CHECKING:
    from kouxing.models.lipreader import LipReader

BLANK = 0
BEST = "best.safetensors"


def greedy(log_probs: Float) -> list[int]:
    """Places in the phone table: the likeliest class of each frame, repeats and blanks taken out.

    Args:
        log_probs: ``[T, phones + 1]``, class 0 = blank.
    """
    best = np.argmax(log_probs, 1)
    kept = best[np.flatnonzero(np.append(True, best[1:] != best[:-1]))]
    return [int(one) - 1 for one in kept if one != BLANK]


def grammar_words(log_probs: Float) -> tuple[str, ...]:
    """The likeliest of GRID's 64,000 sentences, by Viterbi search over its six places.

    Args:
        log_probs: ``[T, len(PHONES) + 1]``.

    Returns:
        Six words.
    """
    slots = [sorted(words.values()) for words in WORDS]
    states, word_of, starts = _states(slots)
    frames = len(log_probs)
    score = np.full(len(states), -np.inf)
    back = np.zeros((frames, len(states)), np.int64)
    emitted = log_probs[:, states]
    for start, _ in starts[0]:
        score[start], score[start + 1] = emitted[0, start], emitted[0, start + 1]
    same, before, two = np.arange(len(states)), np.arange(len(states)) - 1, np.arange(len(states)) - 2
    inner = np.array([at > 0 and word_of[at] == word_of[at - 1] for at in range(len(states))])
    skips = np.array(
        [at > 1 and word_of[at] == word_of[at - 2] and states[at] not in (BLANK, states[at - 2]) for at in same]
    )
    for frame in range(1, frames):
        options = np.stack([score, np.where(inner, score[before], -np.inf), np.where(skips, score[two], -np.inf)])
        best = options.argmax(0)
        value, origin = options[best, same], np.stack([same, before, two])[best, same]
        for slot in range(1, len(slots)):
            # A word begins, with its blank or its first phone, where any word of the place before has ended.
            finals = np.array([end - shift for _, end in starts[slot - 1] for shift in (0, 1)])
            leader = finals[int(score[finals].argmax())]
            for start, _ in starts[slot]:
                for at in (start, start + 1):
                    # Two words' equal phones need a blank between them.
                    if at == start + 1 and states[leader] == states[at]:
                        continue
                    if score[leader] > value[at]:
                        value[at], origin[at] = score[leader], leader
        score, back[frame] = value + emitted[frame], origin
    finals = np.array([end - shift for _, end in starts[-1] for shift in (0, 1)])
    at = int(finals[int(score[finals].argmax())])
    path = [at]
    for frame in range(frames - 1, 0, -1):
        at = int(back[frame, at])
        path.append(at)
    said = list(dict.fromkeys(int(word_of[at]) for at in reversed(path)))
    flat = [word for words in slots for word in words]
    return tuple(flat[number] for number in said)


def _states(
    slots: Sequence[Sequence[str]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[list[tuple[int, int]]]]:
    """Classes of all states (blank, phone, blank, … a word), each one's word, and (first, last) state by place."""
    states: list[int] = []
    word_of: list[int] = []
    starts: list[list[tuple[int, int]]] = []
    number = 0
    for words in slots:
        starts.append([])
        for word in words:
            classes = [BLANK]
            for phone in LEXICON[word]:
                classes += [PHONES.index(phone) + 1, BLANK]
            starts[-1].append((len(states), len(states) + len(classes) - 1))
            states += classes
            word_of += [number] * len(classes)
            number += 1
    return np.array(states), np.array(word_of), starts


def edits(made: Sequence[Any], real: Sequence[Any]) -> int:
    """Insertions, deletions and replacements between two sequences."""
    row = list(range(len(real) + 1))
    for count, one in enumerate(made, 1):
        last, row[0] = row[0], count
        for place, other in enumerate(real, 1):
            last, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, last + (one != other))
    return row[-1]


def error_rate(pairs: Sequence[tuple[Sequence[Any], Sequence[Any]]]) -> float:
    """Edits over the real sequences' length, of (made, real) pairs; NaN of none."""
    total = sum(len(real) for _, real in pairs)
    return sum(edits(made, real) for made, real in pairs) / total if total else float("nan")


def load(run: Path) -> LipReader:
    """The reader of a run folder of ``train lipreader``, in ``eval`` mode.

    Raises:
        DataError: it holds none.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from kouxing.models.lipreader import LipReader, LipReaderDimensions

    path = run / BEST
    if not path.exists():
        raise DataError(f"{run}: no trained lip reader ({BEST}); run `kouxing train lipreader --out {run}` first")
    told = run / "config.json"
    try:
        sizes: dict[str, Any] = (
            json.loads(told.read_text(encoding="utf-8"))["dimensions"] if told.exists() else {"phones": len(PHONES)}
        )
        sizes = {name: tuple(size) if isinstance(size, list) else size for name, size in sizes.items()}
        model = LipReader(LipReaderDimensions(**sizes))
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is no lip reader of this program; train it anew") from error
    return model.eval()


def log_probs(model: LipReader, pictures: Bytes) -> Float:
    """``[T, 48, 64] uint8`` mouth pictures -> log probabilities ``[T, phones + 1]``."""
    import torch

    model.eval()
    device = next(model.parameters()).device
    given = torch.from_numpy(np.ascontiguousarray(pictures))[None].to(device).float() / 255.0
    with torch.no_grad():
        made = model(given, torch.tensor([len(pictures)], device=device))[0]
    return np.asarray(made[0].cpu().numpy(), np.float32)


@dataclass(frozen=True)
class LipReadingReport:
    """What was read.

    Attributes:
        split: on what.
        rows: a clip each: its words, and what was read from the real and from the dubbed mouth.
        figures: error rates of real and dubbed clips, and dubbed over real.
        files: what was written.
    """

    split: str
    rows: tuple[dict[str, Any], ...]
    figures: dict[str, float]
    files: tuple[Path, ...] = ()

    def table(self) -> Table:
        """Error rates beside each other."""
        table = Table(title=f"lip reading, split {self.split}, {len(self.rows)} sentences")
        for title in ("error", "real", "dubbed"):
            table.add_column(title, justify="right")
        for kind in ("phone", "word"):
            table.add_row(f"{kind}s", *(f"{self.figures[f'{way}_{kind}_error']:.3f}" for way in ("real", "dubbed")))
        return table


def evaluate(
    data: Path,
    run: Path,
    preset: str = "fast",
    split: str = "test-person",
    limit: int | None = None,
    out: Path | None = None,
    *,
    parts: Parts | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LipReadingReport:
    """Dub clips whose words are known with their own speech, and read both.

    Args:
        data: data folder (``data.manifest``) with 25 fps clips.
        run: run folder of ``train lipreader``; one that was no loss of the network that is judged.
        preset: which network.
        split: which split.
        limit: at most so many clips.
        out: folder for JSON; ``kouxing-evaluation`` by default.
        parts: tracker, speech encoder, network and paste; the shipped ones by default.
        progress: called with (clips done, clips in all).

    Raises:
        DataError, MediaError: the data are not as they should be, no words are known, or ``run`` holds no reader.
        WeightError: weights are missing or damaged.
        OptionError: ``limit`` below 1.
        OutputError: ``out`` cannot be written.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"--limit {limit}: at least one clip is needed")
    model, words, folder = load(run), transcripts(data), out or OUT
    clips = [clip for clip in read_manifest(data, split) if clip.id in words][:limit]
    if not clips:
        raise DataError(f"{data}: no clip of split {split!r} has a transcript; choose another --split")
    studio = Studio(parts or shipped(), preset)
    rows = []
    for done, clip in enumerate(clips, 1):
        scene = studio.load(data, clip, folder / "tracks" / f"{clip.id}.npz")
        made = studio.redub(scene, fit(studio.hear(scene.samples), len(scene)))
        row: dict[str, Any] = {"id": clip.id, "words": [word.text for word in words[clip.id]]}
        row["phones"] = list(phones_of(words[clip.id]))
        for way, frames in (("real", scene.frames), ("dubbed", made)):
            found = log_probs(model, _mouths(scene, frames))
            row[f"{way}_words"], row[f"{way}_phones"] = list(grammar_words(found)), greedy(found)
        rows.append(row)
        if progress:
            progress(done, len(clips))
    figures = errors_of(rows)
    write_text(folder / "lipreading.json", json.dumps(plain({"split": split, "figures": figures, "rows": rows})))
    return LipReadingReport(split, tuple(rows), figures, (folder / "lipreading.json",))


def _mouths(scene: Scene, frames: Sequence[VideoFrame]) -> Bytes:
    present = [at for at in range(len(frames)) if scene.present(at)]
    return mouth_pictures(scene.crop(frames[at], at) for at in present)


def errors_of(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Error rates of real and dubbed clips by phone and by word, and dubbed over real."""
    found = {
        f"{way}_{kind}_error": error_rate([(row[f"{way}_{kind}s"], row[f"{kind}s"]) for row in rows])
        for way in ("real", "dubbed")
        for kind in ("phone", "word")
    }
    # What the reader reads are phones; words are guessed from them by a grammar.
    named = {"lipread_ratio": "phone", "word_ratio": "word"}
    ratios = {
        name: found[f"dubbed_{kind}_error"] / max(found[f"real_{kind}_error"], 1e-9) for name, kind in named.items()
    }
    return found | ratios
