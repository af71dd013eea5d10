"""Forced alignment: when the words of a text are said in a sound, and whether they are said in it at all.

Viterbi over phone states, each of some mel frames, with a pause allowed between words; what is compared with are the
log probabilities of mouth classes that a phone network hears (``audio.phones``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kouxing.errors import OptionError
from kouxing.text.phones import REST
from kouxing.text.pronounce import Pronouncer, Said
from kouxing.text.transcripts import Transcript
from kouxing.types import Bool, Float
from kouxing.units import MEL_HZ

SHORTEST = 3
"""Mel frames (30 ms) of a phone, as in hidden Markov models of three states."""
LONGEST_S = 180
"""A text without times is laid onto sound up to this; what is longer needs cues with times (.srt)."""
MARGIN_S = 0.3
"""Subtitles come and go this much before and after what is said."""
PAUSE_LEAD = 0.5
"""Nats by which a pause is likelier than anything else where the sound is gone."""
NOBODY = -1
"""Word of a mel frame in a pause."""


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
        lead: how much better these words fit than the same sounds in another order, nats a mel frame of speech: about 0
            where the text is not what is said, or where nothing can be heard.
        misfit: how much worse they fit than whatever fits best in each mel frame of speech, in nats.
    """

    words: tuple[AlignedWord, ...]
    classes: NDArray[np.int64]
    lead: float
    misfit: float


MOST_MISFIT, LEAST_LEAD, FAR_MISFIT = 0.95, 0.3, 1.3
"""Chosen on held-out sentences of GRID and on labelled recordings in English and French (docs/log.md)."""


def same(found: Alignment) -> bool:
    """Whether the text may be what is said. In noise, where nothing is heard surely, it is believed."""
    return found.misfit <= MOST_MISFIT or (found.lead >= LEAST_LEAD and found.misfit <= FAR_MISFIT)


@dataclass(frozen=True)
class _Graph:
    """States of a sentence, in order; a state's predecessors lie before it or are itself."""

    emits: NDArray[np.int64]
    word: NDArray[np.int64]
    sound: NDArray[np.int64]
    before: NDArray[np.int64]
    starts: NDArray[np.bool_]
    ends: NDArray[np.bool_]


def align(log_probs: Float, transcript: Transcript, pronouncer: Pronouncer, lost: Bool | None = None) -> Alignment:
    """Find when the words of ``transcript`` are said.

    Args:
        log_probs: ``[M, classes]`` of each mel frame.
        lost: ``[M]``: where the sound is gone, as lost packets or a muted microphone leave it. What is said there
            cannot be heard, only told from what is missing around it; it is spread over the hole.
        transcript: cues with times keep within them.
        pronouncer: of the transcript's language.

    Raises:
        OptionError: the sound is too short for the text or too long for one without times; or a word cannot be said.
    """
    total = len(log_probs)
    lost = np.zeros(total, bool) if lost is None else lost
    log_probs = np.where(lost[:, None], _unheard(log_probs.shape[1]), log_probs)
    if not transcript.timed:
        if total > LONGEST_S * MEL_HZ:
            raise OptionError(
                f"{transcript.source}: the sound is longer than {LONGEST_S} s; give a transcript with times (.srt)"
            )
        return _stretch(log_probs, lost, pronouncer.sentence(transcript.text), transcript.source)
    whole = np.full(total, REST, np.int64)
    words: list[AlignedWord] = []
    judged: list[tuple[float, float, int]] = []
    for cue in transcript.cues:
        assert cue.start_s is not None and cue.end_s is not None
        margin = 0.0 if cue.exact else MARGIN_S
        floor = round(words[-1].end_s * MEL_HZ) if words else 0
        first = max(floor, round((cue.start_s - margin) * MEL_HZ))
        last = min(total, round((cue.end_s + margin) * MEL_HZ))
        if first >= total:
            raise OptionError(
                f"{transcript.source}: {cue.text[:40]!r} begins at {cue.start_s:.2f} s, behind the end of the sound"
            )
        said = pronouncer.sentence(cue.text)
        near, name = slice(first, last), f"{transcript.source}: {cue.text[:40]!r}"
        part = _stretch(log_probs[near], lost[near], said, name, cue.exact)
        whole[first:last] = part.classes
        words += [
            replace(word, start_s=word.start_s + first / MEL_HZ, end_s=word.end_s + first / MEL_HZ)
            for word in part.words
        ]
        judged.append((part.lead, part.misfit, int((part.classes != REST).sum())))
    lead, misfit = np.average([row[:2] for row in judged], axis=0, weights=[max(1, row[2]) for row in judged])
    return Alignment(tuple(words), whole, float(lead), float(misfit))


def _unheard(classes: int) -> Float:
    """Log probabilities where nothing is to be heard: a pause is a little likelier, so that real pauses stay pauses."""
    told = np.full(classes, -np.log(classes), np.float32)
    told[REST] += PAUSE_LEAD
    return told


def _stretch(
    log_probs: Float, lost: Bool, said: list[tuple[str, tuple[Said, ...]]], source: str, exact: bool = False
) -> Alignment:
    least = sum(min(len(way) for way in ways) for _, ways in said)
    shortest = min(SHORTEST, len(log_probs) // max(1, least))
    if not shortest:
        raise OptionError(
            f"{source}: {len(log_probs) / MEL_HZ:.2f} s are too short for {least} sounds; is it the text of this sound?"
        )
    graph = _graph([ways for _, ways in said], shortest, pauses=not exact)
    path, score = best_path(log_probs, graph)
    path = spread(path, graph, lost)
    heard, classes = graph.word[path], graph.emits[path]
    words = []
    for place, (text, _) in enumerate(said):
        at = np.flatnonzero(heard == place)
        words.append(AlignedWord(text, at[0] / MEL_HZ, (at[-1] + 1) / MEL_HZ))
    spoken = classes != REST
    others = [best_path(log_probs, _graph(ways, shortest, pauses=not exact))[1] for ways in shuffled(said)]
    lead = (score - max(others)) / max(1, int(spoken.sum())) if others else 0.0
    told = np.take_along_axis(log_probs, classes[:, None], 1)[:, 0]
    return Alignment(tuple(words), classes, lead, float((log_probs.max(1) - told)[spoken].mean()))


def spread(path: NDArray[np.int64], graph: _Graph, lost: Bool) -> NDArray[np.int64]:
    """The same path with the sounds that lie wholly in a hole evenly over it; a hole without any stays a pause."""
    path = path.copy()
    sound = graph.sound[path]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(np.int8), [0]])))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        inside = list(dict.fromkeys(sound[first:last].tolist()))
        around = {int(sound[at]) for at in (first - 1, last) if 0 <= at < len(sound)}
        whole = [one for one in inside if one not in around and graph.word[graph.sound == one][0] != NOBODY]
        if len(whole) < 2:
            continue
        kept = [one for one in inside if graph.word[graph.sound == one][0] != NOBODY]
        of = np.array(kept)[np.arange(last - first) * len(kept) // (last - first)]
        path[first:last] = [int(np.flatnonzero(graph.sound == one)[0]) for one in of]
    return path


def shuffled(said: list[tuple[str, tuple[Said, ...]]]) -> list[list[tuple[Said, ...]]]:
    """The same sounds in other orders: backwards, and the halves exchanged. Empty where there are too few."""
    flat = [place for _, ways in said for place in ways[0]]
    if len(flat) < 4:
        return []
    half = len(flat) // 2
    orders = (flat[::-1], flat[half:] + flat[:half], (flat[half:] + flat[:half])[::-1])
    bounds = np.cumsum([0, *(len(ways[0]) for _, ways in said)])
    return [
        [(tuple(order[first:last]),) for first, last in zip(bounds[:-1], bounds[1:], strict=True)] for order in orders
    ]


def _graph(words: Sequence[Sequence[Said]], shortest: int, pauses: bool = True) -> _Graph:
    """States of words one after the other: every way of each side by side, pauses optional."""
    emits: list[int] = []
    owner: list[int] = []
    sounds: list[int] = []
    before: list[list[int]] = []
    starts: list[bool] = []
    # Where the next sound may come from; None stands for the beginning.
    open_ends: list[int | None] = [None]

    def sound(place: int, word: int, sources: list[int | None]) -> int:
        own_number = sounds[-1] + 1 if sounds else 0
        for number in range(shortest):
            state = len(emits)
            emits.append(place)
            owner.append(word)
            sounds.append(own_number)
            own = [source for source in sources if source is not None] if number == 0 else [state - 1]
            before.append(own + ([state] if number == shortest - 1 else []))
            starts.append(number == 0 and None in sources)
        return len(emits) - 1

    for number, ways in enumerate(words):
        if pauses:
            open_ends = [*open_ends, sound(REST, NOBODY, open_ends)]
        finals: list[int | None] = []
        for way in ways:
            sources = open_ends
            for place in way:
                sources = [sound(place, number, sources)]
            finals += sources
        open_ends = finals
    if pauses:
        open_ends = [*open_ends, sound(REST, NOBODY, open_ends)]
    count = len(emits)
    table = np.full((count, max(map(len, before))), count, np.int64)
    for state, sources_of in enumerate(before):
        table[state, : len(sources_of)] = sources_of
    ends = np.zeros(count, bool)
    ends[[end for end in open_ends if end is not None]] = True
    return _Graph(np.array(emits), np.array(owner), np.array(sounds), table, np.array(starts), ends)


def best_path(log_probs: Float, graph: _Graph) -> tuple[NDArray[np.int64], float]:
    """The likeliest state of each frame ``[M]``, from a start to an end, and its log probability."""
    frames, count = len(log_probs), len(graph.emits)
    told = log_probs[:, graph.emits].astype(np.float64)
    score = np.full(count + 1, -np.inf)
    score[:-1] = np.where(graph.starts, told[0], -np.inf)
    came = np.zeros((frames, count), np.int8)
    states = np.arange(count)
    for frame in range(1, frames):
        options = score[graph.before]
        came[frame] = options.argmax(1)
        score[:-1] = options[states, came[frame]] + told[frame]
    last = int(np.where(graph.ends, score[:-1], -np.inf).argmax())
    path = np.empty(frames, np.int64)
    path[-1] = last
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = graph.before[path[frame], came[frame, path[frame]]]
    return path, float(score[last])
