"""``kouxing evaluate multimodal``: every subset of text, sound and mouth pictures, in clean and in spoiled sound.

The judge is the tracked inner-lip gap, as in ``evaluate animate``. What is judged is what ``animate`` gives at video
frames. Texts are GRID's sentences (by file name); the aligner lays them onto the spoiled sound, and where it holds them
for other words they do not count, as in use. Mouth pictures are of the judged clip itself: an upper bound, and said so.
A second is muted at every place that fits into the speech: one hole a clip says little.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from kouxing.data.animate import Take, load_takes
from kouxing.data.grid import transcripts
from kouxing.data.mouths import load_mouths
from kouxing.errors import DataError
from kouxing.eval.animate import samples_of, speaker
from kouxing.eval.closure import Judged, judge, summary
from kouxing.eval.metrics import correlation
from kouxing.eval.multimodal_faces import face_figures
from kouxing.eval.multimodal_sound import holes, spoiled
from kouxing.eval.multimodal_tone import tone_figures
from kouxing.eval.multimodal_words import words_figures
from kouxing.eval.report import plain, write_text
from kouxing.face.closure import CLOSED_DISTANCE, lip_distance
from kouxing.infer.animate import load
from kouxing.infer.multimodal import Multimodal, Sound
from kouxing.infer.multimodal_animate import rested, speaking
from kouxing.infer.multimodal_look import Looked
from kouxing.text.align import PLACEMENTS, Alignment, align, same
from kouxing.text.pronounce import Pronouncer
from kouxing.text.transcripts import Cue, Transcript
from kouxing.types import Bool, Float
from kouxing.units import SAMPLES_PER_FRAME

OUT = Path("kouxing-evaluation")
TEXT, SOUND, MOUTH = "text", "sound", "mouth"
SUBSETS: dict[str, tuple[str, ...]] = {
    "sound": (SOUND,), "text + sound": (TEXT, SOUND), "sound + mouth": (SOUND, MOUTH),
    "text + sound + mouth": (TEXT, SOUND, MOUTH), "text": (TEXT,), "mouth": (MOUTH,), "text + mouth": (TEXT, MOUTH),
}  # fmt: skip
TIMED = "text with times + sound"
"""The words' times from the clean sound, as a transcript with times tells them."""
EXPRESSION = "expression"
GROUPS = {"grid": "GRID", "wild": "in the wild"}
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Subject:
    """One clip to judge.

    Attributes:
        take: its coefficients and gap. samples: its sound. words: what is said; None where nobody knows.
        looked: its mouth pictures.
    """

    take: Take
    samples: Float
    words: Transcript | None
    looked: Looked


@dataclass(frozen=True)
class MultimodalReport:
    """An evaluation of ``multimodal``.

    Attributes:
        split: what was judged.
        measures: group -> subset -> sound -> ``r``, ``f1`` and ``clips``.
        figures: by the names that the product states them with.
        files: what was written.
    """

    split: str
    measures: dict[str, dict[str, dict[str, dict[str, float]]]]
    figures: dict[str, float]
    files: tuple[Path, ...]

    def table(self) -> Table:
        """Subsets under each other, sounds beside each other; aperture r / closure F1."""
        table = Table(title=f"multimodal, split {self.split}: aperture r / closure F1")
        table.add_column("given")
        sounds = list(next(iter(next(iter(self.measures.values())).values())))
        for sound in sounds:
            table.add_column(sound, justify="right")
        for group, ways in self.measures.items():
            table.add_row(f"[bold]{GROUPS[group]}[/bold]")
            for way, by_sound in ways.items():
                table.add_row(way, *(_shown(by_sound.get(sound)) for sound in sounds))
            table.add_section()
        for name, value in self.figures.items():
            table.add_row(name, f"{value:.3f}")
        return table


def _shown(told: dict[str, float] | None) -> str:
    return "" if told is None else f"{told['r']:.2f}/{told['f1']:.2f}"


def evaluate(
    data: Path, split: str = "test", out: Path | None = None, *, weights: Path | None = None,
    limit: int | None = None, faces: int = 0, progress: Progress | None = None,
) -> MultimodalReport:  # fmt: skip
    """Judge every subset on a split.

    Args:
        data: data folder.
        split: which split.
        out: folder for JSON; ``kouxing-evaluation`` by default.
        weights: where multimodal's weights lie, instead of the shipped ones.
        limit: at most so many clips of each group.
        faces: paint so many clips as well, beside ``lips``; a minute each.
        progress: called with (clips done, clips in all).

    Raises:
        DataError: the data are not as they should be. WeightError: weights are missing or damaged.
        OptionError: espeak-ng is not installed.
    """
    subjects = load_subjects(data, split, limit)
    model, expression = Multimodal(threads=1, folder=weights), speaker(load(EXPRESSION))
    rows: dict[str, dict[str, dict[str, list[tuple[Judged, float, str]]]]] = {}
    refused: dict[str, list[bool]] = {}
    tones: list[tuple[Float, Float]] = []
    with Pronouncer("en") as pronouncer:
        for done, subject in enumerate(subjects, 1):
            ways = rows.setdefault(subject.take.group, {})
            for sound, told in judge_clip(subject, model, expression, pronouncer, refused, tones).items():
                for way, several in told.items():
                    kept = ways.setdefault(way, {}).setdefault(sound, [])
                    kept += [(*one, subject.take.name) for one in several]
            if progress:
                progress(done, len(subjects))
    measures = {
        group: {way: {sound: _measures(one) for sound, one in by.items()} for way, by in ways.items()}
        for group, ways in rows.items()
    }
    figures = figures_of(rows, refused) | tone_figures(tones) | words_figures(data, model.hear)
    if faces:
        words = {one.take.name: one.words for one in subjects if one.words is not None}
        looked = {one.take.name: one.looked for one in subjects}
        painted = face_figures(data, split, words, looked, model, faces, out or OUT, progress)
        figures |= {name: round(value, 4) for name, value in painted.items()}
    path = (out or OUT) / "multimodal.json"
    write_text(path, json.dumps(plain({"split": split, "figures": figures, "measures": measures})))
    return MultimodalReport(split, measures, figures, (path,))


def load_subjects(data: Path, split: str, limit: int | None) -> list[Subject]:
    """Clips of GRID and in the wild, with their words where the manifest's ``source`` tells them."""
    said = transcripts(data)
    pictures = {one.clip.id: one for one in load_mouths(data, split)}
    subjects: list[Subject] = []
    counts: dict[str, int] = {}
    for take in load_takes(data, split):
        if take.group not in GROUPS or take.name not in pictures:
            continue
        counts[take.group] = counts.get(take.group, 0) + 1
        if limit is not None and counts[take.group] > limit:
            continue
        known = said.get(take.name)
        words = None if known is None else Transcript((Cue(" ".join(word.text for word in known)),), take.name)
        one = pictures[take.name]
        samples = samples_of(data, take)[: len(take) * SAMPLES_PER_FRAME]
        subjects.append(Subject(take, samples, words, Looked(one.pictures, one.found)))
    if not subjects:
        raise DataError(f"{data}: no clip of split {split!r} has coefficients and pictures to compare with")
    return subjects


def judge_clip(
    subject: Subject, model: Multimodal, expression: Callable[[Float], Float], pronouncer: Pronouncer,
    refused: dict[str, list[bool]], tones: list[tuple[Float, Float]],
) -> dict[str, dict[str, list[tuple[Judged, float]]]]:  # fmt: skip
    """Sound -> way -> how one clip is judged in each sound of that kind, and the correlation inside its holes.

    ``refused`` and ``tones`` get what was told of the text in each sound, and the clean mouth feature with its sound.
    """
    seed = int(np.frombuffer(subject.take.name.encode().ljust(4)[-4:], np.uint32)[0])
    clean = model.hear(subject.samples)
    timed = None
    if subject.words is not None:
        timed = align(clean.phones.log_probs, subject.words, pronouncer, clean.lost, loud=clean.loud)
    tones.append((model.make(classes=None if timed is None else timed.classes, sound=clean).joint, clean.mel))
    firsts = [None] if timed is None else holes(timed.words[0].start_s, timed.words[-1].end_s)
    kinds = spoiled(subject.samples, seed, firsts)
    everywhere = [hole for _, hole in kinds["muted"] if hole is not None]
    told: dict[str, dict[str, list[tuple[Judged, float]]]] = {}
    for name, sounds in kinds.items():
        for samples, hole in sounds:
            sound = clean if name == "clean" else model.hear(samples)
            found = None
            if subject.words is not None:
                log_probs = sound.phones.log_probs
                found = align(log_probs, subject.words, pronouncer, sound.lost, PLACEMENTS, sound.loud)
                refused.setdefault(name, []).append(not same(found))
            made = {EXPRESSION: expression(samples)}
            for way, parts in SUBSETS.items():
                if (TEXT in parts and found is None) or (SOUND not in parts and name != "clean"):
                    continue
                made[way] = _made(model, subject, parts, found if SOUND in parts else timed, sound, samples)
            if timed is not None:
                made[TIMED] = _made(model, subject, (TEXT, SOUND), timed, sound, samples)
            for way, rows in made.items():
                one = judged(subject.take, rows, everywhere if hole is None else [hole])
                told.setdefault(name, {}).setdefault(way, []).append(one)
    return told


def _made(
    model: Multimodal, subject: Subject, parts: tuple[str, ...], text: Alignment | None, sound: Sound, samples: Float
) -> Float:
    classes = text.several if TEXT in parts and text is not None and same(text) else None
    given = sound if SOUND in parts or (classes is None and MOUTH not in parts) else None
    looked = subject.looked if MOUTH in parts else None
    made = model.make(classes=classes, sound=given, looked=looked)
    if given is not None:
        made = rested(made, samples, speaking(classes, looked, len(made.coefficients)))
    return made.coefficients


def judged(take: Take, rows: Float, everywhere: Sequence[Bool]) -> tuple[Judged, float]:
    """How the whole clip is judged, and the mean correlation inside each of the holes."""
    frames = min(len(take), len(rows))
    rows, gap, found = rows[:frames], take.gap[:frames], take.found[:frames]
    one = judge(rows, gap, take.silent[:frames], found, CLOSED_DISTANCE)
    within = []
    for hole in everywhere:
        inside = np.zeros(frames, bool)
        # A file's sound may end before its picture.
        inside[: len(hole)] = hole[:frames]
        inside &= found
        if inside.sum() > 5:
            within.append(correlation(np.maximum(lip_distance(rows), 0)[inside], gap[inside]))
    known = [r for r in within if math.isfinite(r)]
    return one, float(np.mean(known)) if known else math.nan


def _measures(rows: Sequence[tuple[Judged, float, str]]) -> dict[str, float]:
    """Of one way in one sound; every clip counts once in ``r_hole``, however many holes it has."""
    told = summary([one for one, _, _ in rows])
    inside: dict[str, list[float]] = {}
    for _, within, name in rows:
        if math.isfinite(within):
            inside.setdefault(name, []).append(within)
    return {
        "r": told["r"], "f1": told["f1"], "silence": told["silence"],
        "clips": float(len({name for _, _, name in rows})),
        "r_hole": float(np.mean([np.mean(of_clip) for of_clip in inside.values()])) if inside else math.nan,
    }  # fmt: skip


def _gained(ours: Sequence[tuple[Judged, float, str]], theirs: Sequence[tuple[Judged, float, str]]) -> float:
    """Mean gain in correlation, each clip against itself in the same sound."""
    return float(np.mean([mine[0].r - other[0].r for mine, other in zip(ours, theirs, strict=True)]))


Rows = dict[str, dict[str, dict[str, list[tuple[Judged, float, str]]]]]


def figures_of(rows: Rows, refused: dict[str, list[bool]]) -> dict[str, float]:
    """The figures by which the product states its quality, over GRID's clips whose words are known."""
    ways = rows.get("grid", {})
    texted = {name for _, _, name in ways.get("text + sound", {}).get("clean", [])}

    def judged_in(way: str, sound: str) -> list[tuple[Judged, float, str]]:
        return [row for row in ways.get(way, {}).get(sound, []) if row[2] in texted]

    def told(way: str, sound: str) -> dict[str, float]:
        return _measures(judged_in(way, sound))

    if not texted:
        return {}
    both, alone, timed = told("text + sound", "0 dB"), told("sound", "0 dB"), told(TIMED, "0 dB")
    clean = told("sound", "clean")
    figures = {
        "clips": float(len(texted)),
        "gain_r_0db": both["r"] - alone["r"], "gain_f1_0db": both["f1"] - alone["f1"],
        "gain_r_0db_mean": _gained(judged_in("text + sound", "0 dB"), judged_in("sound", "0 dB")),
        "gain_r_0db_timed": timed["r"] - alone["r"], "gain_f1_0db_timed": timed["f1"] - alone["f1"],
        "gain_r_minus_5db": told("text + sound", "-5 dB")["r"] - told("sound", "-5 dB")["r"],
        "gain_r_0db_mouth": told("sound + mouth", "0 dB")["r"] - alone["r"],
        "gain_r_0db_expression": both["r"] - told(EXPRESSION, "0 dB")["r"],
        "muted_share_text": told("text + sound", "muted")["r_hole"] / clean["r_hole"],
        "muted_share_timed": told(TIMED, "muted")["r_hole"] / clean["r_hole"],
        "muted_share_mouth": told("sound + mouth", "muted")["r_hole"] / clean["r_hole"],
        "muted_share_sound": told("sound", "muted")["r_hole"] / clean["r_hole"],
        "clean_loss": clean["r"] - told("text + sound", "clean")["r"],
        "clean_loss_f1": clean["f1"] - told("text + sound", "clean")["f1"],
        "r_clean_expression": told(EXPRESSION, "clean")["r"], "f1_clean_expression": told(EXPRESSION, "clean")["f1"],
    }  # fmt: skip
    figures |= {
        "silence_sound": clean["silence"], "silence_text_sound": told("text + sound", "clean")["silence"],
    }  # fmt: skip
    figures["muted_share"] = min(figures["muted_share_text"], figures["muted_share_mouth"])
    for way in (*SUBSETS, TIMED):
        for sound in ("clean", "0 dB"):
            if sound in ways.get(way, {}):
                name = f"{way} {sound}".replace(" + ", "_").replace(" ", "_").lower()
                one = told(way, sound)
                figures |= {f"r_{name}": one["r"], f"f1_{name}": one["f1"]}
    figures |= {
        f"refused_{name.replace(' ', '').lower()}": float(np.mean(refused[name]))
        for name in ("clean", "0 dB", "-5 dB")
        if name in refused
    }
    return {name: round(value, 4) for name, value in figures.items() if math.isfinite(value)}
