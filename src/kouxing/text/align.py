"""Forced alignment: when the words of a text are said in a sound, and whether they are said in it at all.

A hidden semi-Markov model, solved by Viterbi: phones with the lengths that people and espeak-ng give them, in the
speaker's tempo, and a pause allowed between words; what is compared with are the log probabilities of mouth classes
that a phone network hears (``audio.phone_ear``). Where little is heard, or nothing, the lengths decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kouxing.errors import OptionError
from kouxing.text.align_graph import NOBODY, Graph, graph_of
from kouxing.text.loudness import against_pause
from kouxing.text.phones import MOUTHS, REST
from kouxing.text.placements import chain_of, draw
from kouxing.text.pronounce import Pronouncer, Said
from kouxing.text.transcripts import Cue, Transcript
from kouxing.types import Bool, Float
from kouxing.units import MEL_HZ

SHORTEST = 3
"""Mel frames (30 ms) of a phone, as in hidden Markov models of three states."""
SHORTEST_PAUSE = 8
"""Mel frames of a pause between words; what is shorter is a closure, or a strange voice held for a pause."""
LONGEST = 50
"""Mel frames up to which the length of a phone is looked up; beyond it costs the same for each further one."""
LONGEST_S = 180
"""A text without times is laid onto sound up to this; what is longer needs cues with times (.srt)."""
LETTERS_HZ = 40
"""More than twice what the fastest speakers get through."""
MARGIN_S = 0.3
"""Subtitles come and go this much before and after what is said."""
PAUSE_LEAD = 0.03
"""Nats by which a pause is likelier than anything else where the sound is gone."""
MOST_DRAWN = 2.5
"""Sounds in a hole are drawn out by this at most; else there is a pause in it."""
SPREAD, WEIGHT = 0.5, 3.0
"""Of the logarithm of a phone's length around the expected one, and what it counts against one mel frame: what is heard
of neighbouring frames is much the same, and so counts too much. These and ``COMMON_SHARE`` are chosen on
labelled recordings in English and French and on sentences of GRID, clean and in noise, heard above all by networks that
had not learned from them (docs/log.md)."""
TEMPO_COUNTS = 3
"""As so many phones of the speaker's own counts that people on the whole speak as ``USUAL`` says."""
ROUNDS = 2
"""The first finds the speaker's tempo."""
UNSURE, SURE, LEAST, AROUND = 0.25, 0.55, 0.1, 50
"""Share of the entropy of spoken mel frames that is missing: from where on they count at all, and wholly; what counts
at least; and so many frames to either side are looked at."""
PLACEMENTS = 32
"""How many are drawn in use."""
SHARP, SHARP_NEAR, NEAR = 1.4, 0.6, 50
"""What scores count then: in noise, and within so many mel frames of a hole, whose edges are heard badly."""
HOLE = 30
"""Mel frames from which on lost sound is a hole, in which words may lie here or there."""
COMMON_SHARE = 0.7
"""How much of a class's commonness is taken from its log probability: one that is said often is expected too often."""
COMMON = {
    "bilabial": 0.8, "labiodental": -0.8, "rounded-close": 0.3, "rounded-mid": 0.2, "open": 1.0, "mid": 0.7,
    "spread": 1.0, "sibilant": 0.8, "postalveolar": -1.2, "dental": -1.9, "alveolar": 1.3, "rhotic": -0.7,
    "glottal": -1.4,
}  # fmt: skip
"""Logarithm of the share of each mouth class in speech, over their mean; pauses are left as they are."""


@dataclass(frozen=True)
class AlignedWord:
    """A word with its time, in seconds from the beginning of the sound."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Alignment:
    """A text laid onto a sound of M mel frames.

    Attributes:
        words: in order, with times.
        classes: ``[M] int64``: the mouth class said in each mel frame (``phones.MOUTHS``); ``REST`` in pauses.
        several: ``[K, M] int64``: the same in placements drawn by how likely they are, or only the likeliest one.
        lead: how much better these words fit than the same sounds in another order, nats a mel frame of speech: about 0
            where the text is not what is said, or where nothing can be heard.
        misfit: how much worse they fit than whatever fits best in each mel frame of speech, in nats; what is heard
            unsurely counts less.
    """

    words: tuple[AlignedWord, ...]
    classes: NDArray[np.int64]
    several: NDArray[np.int64]
    lead: float
    misfit: float


MOST_MISFIT, LEAST_LEAD, FAR_MISFIT = 0.6, 0.2, 1.5
"""Chosen on held-out sentences of GRID and on labelled recordings in English and French (docs/log.md)."""


def same(found: Alignment) -> bool:
    """Whether the text may be what is said. In noise, where nothing is heard surely, it is believed."""
    return found.misfit <= MOST_MISFIT or (found.lead >= LEAST_LEAD and found.misfit <= FAR_MISFIT)


def align(
    log_probs: Float, transcript: Transcript, pronouncer: Pronouncer, lost: Bool | None = None, placements: int = 0,
    loud: Float | None = None,
) -> Alignment:  # fmt: skip
    """Find when the words of ``transcript`` are said.

    Args:
        log_probs: ``[M, classes]`` of each mel frame.
        lost: ``[M]``: where the sound is gone, as lost packets or a muted microphone leave it. What is said there
            cannot be heard, only told from what is missing around it.
        transcript: cues with times keep within them.
        pronouncer: of the transcript's language.
        placements: how many to draw for ``several``.
        loud: ``[M]`` mean log-mel of each mel frame, which tells pauses from speech; None where it is not known.

    Raises:
        OptionError: the sound is too short for the text or too long for one without times; or a word cannot be said.
    """
    total = len(log_probs)
    lost = np.zeros(total, bool) if lost is None else lost
    speaks = np.zeros(total, np.float32) if loud is None else against_pause(log_probs, loud, lost)
    if not transcript.timed:
        if total > LONGEST_S * MEL_HZ:
            raise OptionError(
                f"{transcript.source}: the sound is longer than {LONGEST_S} s; give a transcript with times (.srt)"
            )
        check_length(transcript.text, total / MEL_HZ, transcript.source)
        return _stretch(log_probs, lost, speaks, pronouncer.sentence(transcript.text), transcript.source, placements)
    whole, several = np.full(total, REST, np.int64), np.full((max(1, placements), total), REST, np.int64)
    words: list[AlignedWord] = []
    judged: list[tuple[float, float, int]] = []
    for cue in _joined(transcript.cues):
        assert cue.start_s is not None and cue.end_s is not None
        margin = 0.0 if cue.exact else MARGIN_S
        floor = round(words[-1].end_s * MEL_HZ) if words else 0
        first = max(floor, round((cue.start_s - margin) * MEL_HZ))
        last = min(total, round((cue.end_s + margin) * MEL_HZ))
        if first >= total:
            raise OptionError(
                f"{transcript.source}: {cue.text[:40]!r} begins at {cue.start_s:.2f} s, behind the end of the sound"
            )
        if last - first > (LONGEST_S + 2 * MARGIN_S) * MEL_HZ:
            raise OptionError(
                f"{transcript.source}: {cue.text[:40]!r} lasts longer than {LONGEST_S} s; split it into shorter cues"
            )
        near, name = slice(first, last), f"{transcript.source}: {cue.text[:40]!r}"
        check_length(cue.text, (last - first) / MEL_HZ, name)
        said = pronouncer.sentence(cue.text)
        part = _stretch(log_probs[near], lost[near], speaks[near], said, name, placements, cue.exact)
        whole[first:last], several[:, first:last] = part.classes, part.several
        words += [
            replace(word, start_s=word.start_s + first / MEL_HZ, end_s=word.end_s + first / MEL_HZ)
            for word in part.words
        ]
        judged.append((part.lead, part.misfit, int((part.classes != REST).sum())))
    lead, misfit = np.average([row[:2] for row in judged], axis=0, weights=[max(1, row[2]) for row in judged])
    return Alignment(tuple(words), whole, several, float(lead), float(misfit))


def _joined(cues: Sequence[Cue]) -> list[Cue]:
    """Cues that touch, or overlap, as one: within its margin each would hear what the next one says as its own end."""
    made: list[Cue] = []
    for cue in cues:
        before = made[-1] if made else None
        if before is None or before.exact or cue.exact or before.end_s is None or cue.start_s is None:
            made.append(cue)
            continue
        end_s = max(before.end_s, cue.end_s or 0.0)
        if cue.start_s - before.end_s >= 2 * MARGIN_S or end_s - (before.start_s or 0.0) > LONGEST_S:
            made.append(cue)
        else:
            made[-1] = Cue(f"{before.text} {cue.text}", before.start_s, end_s)
    return made


def _weighed(log_probs: Float, lost: Bool, speaks: Float) -> Float:
    """What the path is found by: less of what is heard unsurely; where the sound is gone, all is alike."""
    common = np.array([COMMON.get(mouth.name, 0.0) for mouth in MOUTHS], np.float32)
    gone = np.zeros(len(MOUTHS), np.float32)
    gone[REST] = PAUSE_LEAD
    told = reliability(log_probs)[:, None] * (log_probs - COMMON_SHARE * common)
    told[:, REST] -= speaks
    return np.where(lost[:, None], gone, told)


def reliability(log_probs: Float) -> Float:
    """How far ``[M]`` mel frames count, ``LEAST``..1: by how surely the sounds around are told from each other."""
    probs = np.exp(log_probs)
    sure = 1 + (probs * log_probs).sum(1) / np.log(log_probs.shape[1])
    spoken = 1 - probs[:, REST] + 1e-3
    around = np.ones(min(2 * AROUND + 1, len(sure)))
    near = np.convolve(sure * spoken, around, "same") / np.convolve(spoken, around, "same")
    return np.clip((near - UNSURE) / (SURE - UNSURE), LEAST, 1).astype(np.float32)


def check_length(text: str, seconds: float, source: str) -> None:
    """Refuse what nobody says in so short a time, before all of it is looked up.

    Raises:
        OptionError: it is longer.
    """
    letters = sum(map(str.isalnum, text))
    if letters > LETTERS_HZ * (seconds + 1):
        told = f"{seconds:.2f} s are too short for {letters} letters"
        raise OptionError(f"{source}: {told}; is it the text of this sound?")


def _stretch(
    log_probs: Float, lost: Bool, speaks: Float, said: list[tuple[str, tuple[Said, ...]]], source: str,
    placements: int, exact: bool = False,
) -> Alignment:  # fmt: skip
    least = sum(min(len(way.places) for way in ways) for _, ways in said)
    shortest = min(SHORTEST, len(log_probs) // max(1, least))
    if not shortest:
        raise OptionError(
            f"{source}: {len(log_probs) / MEL_HZ:.2f} s are too short for {least} sounds; is it the text of this sound?"
        )
    weighed = _weighed(log_probs, lost, speaks)
    graph = graph_of([ways for _, ways in said], pauses=not exact)
    tempo = 1.0
    for _ in range(ROUNDS):
        path = best_path(weighed, graph, tempo, shortest)
        used, tempo = tempo, _tempo(path, graph.lengths, lost)
    drawn = _drawn(weighed, graph, path, shortest, lost, placements) if placements else path[None]
    several = np.array([filled(one, graph, lost) for one in drawn])
    path = filled(path, graph, lost)
    heard, classes = graph.word[path], graph.emits[path]
    words = []
    for place, (text, _) in enumerate(said):
        at = np.flatnonzero(heard == place)
        words.append(AlignedWord(text, at[0] / MEL_HZ, (at[-1] + 1) / MEL_HZ))
    told = np.where(lost, 0, np.take_along_axis(log_probs, classes[:, None], 1)[:, 0])
    spoken = (classes != REST) & ~lost
    others = []
    for ways in shuffled(said):
        other = graph_of(ways, pauses=not exact)
        emitted = other.emits[best_path(weighed, other, used, shortest)]
        others.append(float(np.take_along_axis(log_probs, emitted[:, None], 1)[~lost].sum()))
    lead = (float(told.sum()) - max(others)) / max(1, int(spoken.sum())) if others else 0.0
    worse = reliability(log_probs) * (log_probs.max(1) - told)
    misfit = float(worse[spoken].mean()) if spoken.any() else 0.0
    return Alignment(tuple(words), classes, graph.emits[several], lead, misfit)


def _drawn(
    weighed: Float, graph: Graph, path: NDArray[np.int64], shortest: int, lost: Bool, count: int
) -> NDArray[np.int64]:
    """``count`` placements ``[count, M]``; the same ones for the same sound and text."""
    pauses, near = graph.word == NOBODY, np.zeros(len(lost), bool)
    for first, last in runs(lost):
        if last - first >= HOLE:
            near[max(0, first - NEAR) : last + NEAR] = True
    # In holes ``filled`` takes pauses between words away.
    rare = pauses & ~graph.starts & ~graph.ends & (not near.any())
    lengths = graph.fluent * _tempo(path, graph.fluent, lost)
    chain = chain_of(graph.emits, graph.before, lengths, rare, shortest, LONGEST)
    scores = np.where(near, SHARP_NEAR, SHARP)[:, None] * weighed
    return draw(scores, chain, path, pauses, ~lost, count, np.random.default_rng(0))


def runs(lost: Bool) -> list[tuple[int, int]]:
    """First and last (not included) mel frame of each stretch of ``lost [M]``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def filled(path: NDArray[np.int64], graph: Graph, lost: Bool) -> NDArray[np.int64]:
    """The same path without pauses in a hole: within a sentence people pause seldom, and speak slower as often.

    The sounds of a hole are drawn out over it, each as much as the others, if that is not by far. What lies before the
    first word or behind the last one stays a pause, and so does a hole without words of its own.
    """
    path, pause = path.copy(), graph.word == NOBODY
    spoken = np.flatnonzero(~pause[path])
    for first, last in runs(lost):
        first, last = max(first, spoken[0]), min(last, spoken[-1] + 1)
        inside = path[first:last][~pause[path[first:last]]]
        around = {int(path[at]) for at in (first - 1, last) if 0 <= at < len(path)}
        if set(inside.tolist()) - around and last - first <= MOST_DRAWN * len(inside):
            path[first:last] = inside[np.arange(last - first) * len(inside) // (last - first)]
    return path


def _tempo(path: NDArray[np.int64], lengths: Float, lost: Bool) -> float:
    """How long the speaker's phones are, over the expected; of those that are heard wholly."""
    counts = np.bincount(path, minlength=len(lengths))
    counts[np.unique(path[lost])] = 0
    known = (counts > 0) & (lengths > 0)
    ratios = np.log(counts[known] / lengths[known])
    return float(np.exp(ratios.sum() / (len(ratios) + TEMPO_COUNTS)))


def shuffled(said: list[tuple[str, tuple[Said, ...]]]) -> list[list[tuple[Said, ...]]]:
    """The same sounds in other orders: backwards, and the halves exchanged. Empty where there are too few."""
    flat = [one for _, ways in said for one in zip(*ways[0][:2], strict=True)]
    if len(flat) < 4:
        return []
    half = len(flat) // 2
    orders = (flat[::-1], flat[half:] + flat[:half], (flat[half:] + flat[:half])[::-1])
    bounds = np.cumsum([0, *(len(ways[0].places) for _, ways in said)])
    return [
        [
            (Said(*(tuple(part) for part in zip(*order[first:last], strict=True))),)
            for first, last in zip(bounds[:-1], bounds[1:], strict=True)
        ]
        for order in orders
    ]


def _prior(graph: Graph, tempo: float, shortest: int) -> tuple[Float, Float]:
    """Log prior ``[LONGEST, N]`` of lasting 1 to ``LONGEST`` mel frames, and what every further one costs ``[N]``."""
    lengths = graph.lengths * tempo
    spoken, middle = lengths > 0, np.maximum(lengths, 2.0)
    frames = np.arange(1, LONGEST + 1)[:, None]
    prior = np.where(spoken, -0.5 * WEIGHT * (np.log(frames / middle) / SPREAD) ** 2, 0.0)
    prior[: shortest - 1] = -np.inf
    prior[: SHORTEST_PAUSE - 1, ~spoken & ~graph.starts & ~graph.ends] = -np.inf
    further = -WEIGHT * np.log(LONGEST / middle) / SPREAD**2 / LONGEST
    return prior, np.where(spoken, np.minimum(further, 0), 0.0)


def best_path(log_probs: Float, graph: Graph, tempo: float, shortest: int) -> NDArray[np.int64]:
    """The likeliest sound of each frame ``[M]``, from a start to an end (Viterbi of a semi-Markov model).

    Args:
        log_probs: ``[M, classes]``.
        graph: the sentence.
        tempo: lengths of its sounds over the expected.
        shortest: mel frames that every sound lasts at least.
    """
    frames, count = len(log_probs), len(graph.emits)
    prior, further = _prior(graph, tempo, shortest)
    backwards, own = prior[::-1].copy(), np.arange(count)
    so_far = np.zeros(count)
    # What a sound that begins at t brings along, less what its frames up to t would have told: the last LONGEST
    # moments. Every row stands twice, so that they always lie one after the other.
    began = np.full((2 * LONGEST, count), -np.inf)
    began[0] = began[LONGEST] = np.where(graph.starts, 0.0, -np.inf)
    long, long_for = np.full(count, -np.inf), np.zeros(count, np.int64)
    lasted, came = np.zeros((frames + 1, count), np.int16), np.zeros((frames + 1, count), np.int16)
    for end in range(1, frames + 1):
        so_far += log_probs[end - 1, graph.emits]
        at = end % LONGEST
        candidates = began[at : at + LONGEST] + backwards
        chosen = candidates.argmax(0)
        best, length = candidates[chosen, own], LONGEST - chosen
        better = long > best
        best, length = np.where(better, long, best), np.where(better, long_for, length)
        lasted[end] = length
        # Sounds that have lasted LONGEST go on at a price for each frame.
        newly = candidates[0] > long
        long = np.where(newly, candidates[0], long) + further
        long_for = np.where(newly, LONGEST, long_for) + 1
        ended = np.append(so_far + best, -np.inf)
        options = ended[graph.before]
        came[end] = options.argmax(1)
        began[at] = began[at + LONGEST] = options[own, came[end]] - so_far
    path = np.empty(frames, np.int64)
    state, end = int(np.where(graph.ends, ended[:-1], -np.inf).argmax()), frames
    while True:
        first = end - int(lasted[end, state])
        path[first:end] = state
        if first <= 0:
            return path
        state, end = int(graph.before[state, came[first, state]]), first
