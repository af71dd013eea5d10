"""What a weight card tells of its training (``weights.REQUIRED``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kouxing.data.manifest import read_manifest
from kouxing.eval.figures import commit

OPEN, RESEARCH = "Apache-2.0", "CC-BY-NC-4.0 (non-commercial: part of the training footage is marked research)"


def about(data: Path, recipe: str, units: Mapping[str, str], figures: Mapping[str, float]) -> dict[str, Any]:
    """The card without dimensions and checksum.

    Args:
        data: data folder that was trained on; its ``train`` rows are summed up by corpus and licence.
        recipe: the command that makes the weights anew.
        units: name of an input or output -> its shape, rate and unit.
        figures: held-out figures, by name.
    """
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for clip in read_manifest(data, "train"):
        seconds[clip.corpus, clip.licence] += clip.seconds
    sources = [
        {"source": corpus, "licence": licence, "seconds": round(length)}
        for (corpus, licence), length in sorted(seconds.items())
    ]
    research = any(licence != "open" for _, licence in seconds)
    return {
        "units": dict(units),
        "recipe": recipe,
        "commit": commit(),
        "data": sources,
        "licence": RESEARCH if research else OPEN,
        "figures": {name: round(value, 4) for name, value in figures.items()},
    }
