"""Phones of recordings whose words are known, without anybody's labels: GRID's file names tell its sentences.

espeak-ng says the sentence with exact phone times; dynamic time warping lays them onto the recording. On GRID's own
word times (speaker s1) sentences begin and end within 0.08 s of where they should, in the median.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from kouxing.data import grid
from kouxing.data.animate import Take
from kouxing.data.phones import clip_of
from kouxing.text.phones import CLASS, Phone, mouth_classes
from kouxing.text.speak import Speaker, Voice
from kouxing.types import Bool, Float
from kouxing.units import MEL_HZ, MELS_PER_FRAME

PAUSE_S = 0.3
CEPSTRA = 20
NEAR = 3
"""Video frames on either side of a bilabial that count as about it: the lips come together before it sounds, and the
warping errs."""
VOICE = Voice("en")


def classes_of(data: Path, takes: Sequence[Take]) -> dict[str, NDArray[np.int64]]:
    """Mouth classes ``[M]`` of the takes whose words the manifest's column ``source`` tells.

    Raises:
        OptionError: espeak-ng is not installed.
    """
    with (data / "manifest.csv").open(newline="", encoding="utf-8-sig") as file:
        sources = {row["id"]: row.get("source") or "" for row in csv.DictReader(file)}
    said = {take.name: words for take in takes if (words := sentence(sources.get(take.name, ""))) is not None}
    if not said:
        return {}
    made = {}
    with Speaker() as speaker:
        for take in takes:
            if take.name not in said:
                continue
            spoken = speaker.speak(said[take.name], VOICE)
            pause = np.zeros(round(PAUSE_S * spoken.rate_hz), np.float32)
            phones = [Phone(one.symbol, one.start_s + PAUSE_S, one.end_s + PAUSE_S) for one in spoken.phones]
            whole = np.concatenate([pause, spoken.samples, pause])
            clip = clip_of(take.name, whole, spoken.rate_hz, phones)
            made[take.name] = aligned(take.mel, clip.mel, phones)
    return made


def near_bilabials(classes: NDArray[np.int64]) -> Bool:
    """The video frames about p, b and m: ``[M / 4]``."""
    frames = len(classes) // MELS_PER_FRAME
    inside = (classes[: frames * MELS_PER_FRAME] == CLASS["bilabial"]).reshape(frames, MELS_PER_FRAME).any(1)
    return np.asarray(np.convolve(inside, np.ones(2 * NEAR + 1), "same") > 0.5, bool)


def sentence(source: str) -> str | None:
    """The words that a GRID file's path tells, as espeak-ng says them well; None where it is no such name."""
    words = grid.sentence(source)
    return None if words is None else " ".join(word if len(word) > 1 else f"{word.upper()}." for word in words)


def aligned(mel: Float, spoken_mel: Float, phones: Sequence[Phone]) -> NDArray[np.int64]:
    """Mouth classes of ``mel [M, 80]`` from a synthesis of the same words: dynamic time warping of cepstra."""
    spoken = mouth_classes(list(phones), len(spoken_mel), MEL_HZ)
    floor = np.percentile(mel, 10, axis=0) - np.percentile(mel, 95, axis=0)
    one, other = cepstra(mel, floor), cepstra(spoken_mel, floor)
    cost = np.sqrt(np.maximum((one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T, 0))
    return np.asarray(spoken, np.int64)[warped(cost)]


def cepstra(mel: Float, floor: Float) -> Float:
    """``[M, CEPSTRA]`` under each band's own loud level; both recordings get the same ``floor [80]`` of noise."""
    level = np.maximum(mel - np.percentile(mel, 95, axis=0), floor)
    return np.asarray(dct(level, norm="ortho", axis=1)[:, :CEPSTRA], np.float32)


def warped(cost: Float) -> NDArray[np.int64]:
    """The column that each row of ``cost [M, N]`` falls on, on the cheapest path from corner to corner: ``[M]``."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    for row in range(1, rows + 1):
        line, above = total[row], total[row - 1]
        for column in range(1, columns + 1):
            best = min(above[column - 1], above[column], line[column - 1])
            line[column] = best + cost[row - 1, column - 1]
    places = np.zeros(rows, np.int64)
    row, column = rows, columns
    while row > 0 and column > 0:
        places[row - 1] = column - 1
        steps = (total[row - 1, column - 1], total[row - 1, column], total[row, column - 1])
        step = int(np.argmin(steps))
        row, column = row - (step != 2), column - (step != 1)
    return places
