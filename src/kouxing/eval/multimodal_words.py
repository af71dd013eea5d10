"""How exactly words are placed in time, and whether foreign words are told from what is said."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kouxing.data.phones import HELD_OUT
from kouxing.errors import DataError, OptionError
from kouxing.infer.multimodal import Sound
from kouxing.media.reader import load_sound
from kouxing.text.align import align, same
from kouxing.text.labels import read_phones
from kouxing.text.pronounce import Pronouncer
from kouxing.text.transcripts import Cue, Transcript, read_transcript, words_of
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ

NEAR_S = 0.04
SPLITS = ("val", "test-person")
"""Sentences of GRID's s1, with word times, that nothing was trained on. His other sentences were."""
LANGUAGES = {"fra": "fr", "en": "en"}


@dataclass(frozen=True)
class Labelled:
    """A recording whose words and their times are known.

    Attributes:
        samples: its sound. words: one cue a word. language: espeak-ng's.
    """

    samples: Float
    words: tuple[Cue, ...]
    language: str


def words_figures(data: Path, hear: Callable[[Float], Sound]) -> dict[str, float]:
    """Shares of word boundaries (both ends) within 40 ms, and of right and wrong texts that are held for wrong."""
    groups = {"align_40ms": grid(data)}
    for language in LANGUAGES.values():
        groups[f"align_40ms_{language}"] = [one for one in labelled(data) if one.language == language]
    figures: dict[str, float] = {}
    right: list[bool] = []
    wrong: list[bool] = []
    for name, clips in groups.items():
        if not clips:
            continue
        errors, own, others = _placed(clips, hear)
        right, wrong = right + own, wrong + others
        figures |= {name: float((np.abs(errors) <= NEAR_S + 1e-6).mean()), f"{name}_words": len(errors) / 2}
    if right and wrong:
        figures |= {"right_text_refused": float(np.mean(right)), "wrong_text_refused": float(np.mean(wrong))}
    return {name: round(value, 4) for name, value in figures.items()}


def _placed(clips: Sequence[Labelled], hear: Callable[[Float], Sound]) -> tuple[Float, list[bool], list[bool]]:
    """Errors of all boundaries in seconds, and whether own and others' texts were refused."""
    errors: list[float] = []
    right, wrong = [], []
    with Pronouncer(clips[0].language) as pronouncer:
        for place, one in enumerate(clips):
            heard = hear(one.samples)
            log_probs, loud = heard.phones.log_probs, heard.loud
            found = align(log_probs, _text(one.words), pronouncer, loud=loud)
            right.append(not same(found))
            for word, cue in zip(found.words, one.words, strict=True):
                assert cue.start_s is not None and cue.end_s is not None
                errors += [word.start_s - cue.start_s, word.end_s - cue.end_s]
            other = clips[(place + len(clips) // 2) % len(clips)]
            if other is one:
                continue
            try:
                foreign = _text(other.words[: len(one.words)])
                wrong.append(not same(align(log_probs, foreign, pronouncer, loud=loud)))
            except OptionError:
                # Too long for this sound: told, and so refused.
                wrong.append(True)
    return np.array(errors, np.float32), right, wrong


def _text(words: Sequence[Cue]) -> Transcript:
    return Transcript((Cue(" ".join(cue.text for cue in words)),), "the words")


def grid(data: Path) -> list[Labelled]:
    """Held-out sentences of GRID's s1."""
    try:
        with (data / "manifest.csv").open(newline="", encoding="utf-8-sig") as file:
            names = [row["id"] for row in csv.DictReader(file) if row["split"] in SPLITS]
    except (OSError, KeyError) as error:
        raise DataError(f"{data / 'manifest.csv'}: cannot be read") from error
    made = []
    for name in names:
        path = data / "align" / f"{name}.align"
        if path.is_file():
            sound = load_sound(data / "clips" / f"{name}.mp4", SAMPLE_HZ)
            made.append(Labelled(sound.samples, read_transcript(path).cues, "en"))
    return made


def labelled(data: Path) -> list[Labelled]:
    """Recordings of ``data/phones`` with words that training did not hear."""
    folder = data / "phones"
    if not (folder / "manifest.csv").exists():
        return []
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if read_phones(folder / row["labels"])[0]]
    made = []
    for row in rows[::HELD_OUT]:
        words = words_in(folder / row["labels"]) if row["language"] in LANGUAGES else ()
        if words:
            sound = load_sound(folder / f"{row['id']}.flac", SAMPLE_HZ)
            made.append(Labelled(sound.samples, words, LANGUAGES[row["language"]]))
    return made


def words_in(path: Path) -> tuple[Cue, ...]:
    """One cue a word; empty where the labels do not tell them, or tell several as one."""
    cues: list[Cue] = []
    if path.suffix == ".xra":
        cues = _tokens(path.read_text(encoding="utf-8"))
    elif path.suffix == ".json":
        told = json.loads(path.read_text(encoding="utf-8"))["w"]
        cues = [
            Cue(row["t"].split("(")[0], row["b"], row["b"] + row["d"]) for row in told if not row["t"].startswith("<")
        ]
    elif path.suffix == ".TextGrid":
        try:
            read = read_transcript(path).cues
        except OptionError:
            # Phones only.
            return ()
        cues = list(read) if read[0].exact else []
    cues = [cue for cue in cues if words_of(cue.text) and cue.text not in ("dummy", "laugh", "fp")]
    return tuple(cues) if all(len(words_of(cue.text)) == 1 for cue in cues) else ()


def _tokens(text: str) -> list[Cue]:
    cues = []
    for tier in ElementTree.fromstring(text).iter("Tier"):
        if tier.get("tiername") != "TokensAlign":
            continue
        for row in tier.iter("Annotation"):
            begin, end, tag = row.find(".//Begin"), row.find(".//End"), row.find(".//Tag")
            if begin is not None and end is not None and tag is not None and tag.text and tag.text[0] not in "#+*@":
                word = tag.text.replace("_", " ")
                cues.append(Cue(word, float(begin.get("midpoint", "")), float(end.get("midpoint", ""))))
    return cues
