"""What a weight card tells of its training (``weights.REQUIRED``)."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kouxing import weights
from kouxing.data.manifest import read_manifest
from kouxing.data.tracks import read_by_us
from kouxing.eval.figures import commit
from kouxing.text import mbrola
from kouxing.train.loop import BEST, Schedule

OPEN = "Apache-2.0"
LIMITED = "CC-BY-NC-4.0 (non-commercial: not open, by what is known, is {})"
OURS = ("open", "own", "free")
"""In a manifest, for footage that allows commercial use."""
FREE = ("mit", "apache", "bsd", "gpl", "public domain", "cc0", "cc by 4", "cc-by-4", "cc by-sa", "cc-by-sa")
"""How licences begin that do; what is unknown, or of other names, may not."""
LIMITS = re.compile(r"non.?commercial|research|academic|\bnc\b")
"""Whatever stands before it."""
RESEARCH = "research"

Source = dict[str, Any]
"""``source``, ``licence`` and, of footage, ``seconds``."""


def about(
    data: Path, recipe: str, units: Mapping[str, str], figures: Mapping[str, float], beside: Sequence[Source] = ()
) -> dict[str, Any]:
    """The card without dimensions and checksum.

    Args:
        data: data folder that was trained on; its ``train`` rows are summed up by corpus and licence.
        recipe: the command that makes the weights anew.
        units: name of an input or output -> its shape, rate and unit.
        figures: held-out figures, by name; what could not be measured (NaN) is left out.
        beside: what else it was trained on (``further_sources``), and what its parents were (``inherited``).
    """
    return {
        "units": dict(units),
        "recipe": recipe,
        "commit": commit(),
        **learned_from(data, beside),
        "figures": {name: round(value, 4) for name, value in figures.items() if math.isfinite(value)},
    }


def learned_from(data: Path, beside: Sequence[Source] = ()) -> dict[str, Any]:
    """A card's ``data`` and ``licence``; also what a run keeps from its beginning on (``train.loop.train``).

    Args:
        data, beside: as for ``about``.
    """
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for clip in read_manifest(data, "train"):
        seconds[clip.corpus, clip.licence] += clip.seconds
    sources: list[Source] = [
        {"source": corpus, "licence": licence, "seconds": round(length)}
        for (corpus, licence), length in sorted(seconds.items())
    ]
    named = {(source["source"], source["licence"]) for source in sources}
    for one in beside:
        if (one["source"], one["licence"]) not in named:
            named.add((one["source"], one["licence"]))
            sources.append(one)
    limiting = {f"{one['source']} ({one['licence'] or 'unknown'})" for one in sources if not _free(one["licence"])}
    return {"data": sources, "licence": LIMITED.format("; ".join(sorted(limiting))) if limiting else OPEN}


def _free(licence: str) -> bool:
    told = licence.lower().strip()
    return (told in OURS or told.startswith(FREE)) and not LIMITS.search(told)


def changed(schedule: Schedule, preset: Schedule, *more: str) -> list[str]:
    """Options of a recipe that say how ``schedule`` differs from the preset's: those of every network, and ``more``."""
    names = ("steps", "batch", *more, "precision", "seed", "optimiser")
    told = {name: (getattr(schedule, name), getattr(preset, name)) for name in names}
    return [f"--{name} {own}" for name, (own, usual) in told.items() if own != usual]


def inherited(*places: Path | None) -> list[Source]:
    """What the networks were trained on that a training starts from, hears with or is judged by.

    Args:
        places: run folders, or files in them; None: there is none. A folder without cards, of a stage say, is one of
            its run. Weights that nothing tells of are a source of unknown licence.
    """
    found: dict[tuple[str, str], Source] = {}
    for place in places:
        if place is None:
            continue
        folder = place if place.is_dir() else place.parent
        told = _sources(folder) or _sources(folder.parent)
        if not told and (place.is_file() or (place / BEST).is_file()):
            source = f"{folder.resolve().name}, which nothing tells of"
            told = {(source, ""): {"source": source, "licence": ""}}
        found |= told
    return [found[key] for key in sorted(found)]


def _sources(folder: Path) -> dict[tuple[str, str], Source]:
    """Of all cards in a folder, where other files of JSON lie too."""
    found: dict[tuple[str, str], Source] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            if "licence" in told:
                found |= {(one["source"], one["licence"]): one for one in told["data"]}
        except (OSError, ValueError, KeyError, TypeError):
            # No card: anything may lie beside them.
            continue
    return found


def further_sources(data: Path, coefficients: bool = True, phones: bool = True) -> list[Source]:
    """Motion capture and phone speech, which the clips' manifest does not name.

    Args:
        data: data folder.
        coefficients: whether the footage's were learned; our own network is a source where `kouxing prepare` read them.
        phones: whether phones were learned, of synthetic or labelled speech.
    """
    sources: set[tuple[str, str]] = set()
    if coefficients and read_by_us(data):
        licence = "open" if weights.card("coefficients")["licence"] == OPEN else RESEARCH
        sources.add(("coefficients of the footage, read by the network `coefficients`", licence))
    if phones and find_spec("espeakng_loader"):
        sources.add(("espeak-ng, synthetic speech with phones", "open"))
    if phones and mbrola.voices():
        sources.add(("MBROLA's voices, synthetic speech with phones", RESEARCH))
    for folder in ("mocap", "phones") if phones else ("mocap",):
        path = data / folder / "manifest.csv"
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row.get("split", "train") == "train"]
            sources |= {(row.get("source", "").split(":")[0], row.get("licence", "")) for row in rows}
    return [{"source": source, "licence": licence} for source, licence in sorted(sources)]
