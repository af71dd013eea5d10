"""What a weight card tells of its training (``weights.REQUIRED``)."""

from __future__ import annotations

import csv
import math
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

OPEN = "Apache-2.0"
LIMITED = "CC-BY-NC-4.0 (non-commercial: not open, by what is known, is {})"
FREE = ("open", "own")
"""Licences of footage that limit nothing; what is unknown, or of other names, may."""
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
        beside: what else it was trained on (``further_sources``).
    """
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for clip in read_manifest(data, "train"):
        seconds[clip.corpus, clip.licence] += clip.seconds
    sources: list[Source] = [
        {"source": corpus, "licence": licence, "seconds": round(length)}
        for (corpus, licence), length in sorted(seconds.items())
    ]
    limiting = {f"{corpus} ({licence})" for corpus, licence in seconds if licence not in FREE}
    limiting |= {f"{one['source']} ({one['licence']})" for one in beside if one["licence"] in (RESEARCH, "unknown", "")}
    return {
        "units": dict(units),
        "recipe": recipe,
        "commit": commit(),
        "data": [*sources, *beside],
        "licence": LIMITED.format("; ".join(sorted(limiting))) if limiting else OPEN,
        "figures": {name: round(value, 4) for name, value in figures.items() if math.isfinite(value)},
    }


def further_sources(data: Path, coefficients: bool = True) -> list[Source]:
    """Motion capture and phone speech, which the clips' manifest does not name.

    Args:
        data: data folder.
        coefficients: whether the footage's were learned; our own network is a source where `kouxing prepare` read them.
    """
    sources: set[tuple[str, str]] = set()
    if coefficients and read_by_us(data):
        licence = "open" if weights.card("coefficients")["licence"] == OPEN else RESEARCH
        sources.add(("coefficients of the footage, read by the network `coefficients`", licence))
    if find_spec("espeakng_loader"):
        sources.add(("espeak-ng, synthetic speech with phones", "open"))
    if mbrola.voices():
        sources.add(("MBROLA's voices, synthetic speech with phones", RESEARCH))
    for folder in ("mocap", "phones"):
        path = data / folder / "manifest.csv"
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row.get("split", "train") == "train"]
            sources |= {(row.get("source", "").split(":")[0], row.get("licence", "")) for row in rows}
    return [{"source": source, "licence": licence} for source, licence in sorted(sources)]
