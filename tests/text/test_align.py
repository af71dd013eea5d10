"""Forced alignment on a sound whose phones are known frame by frame."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.errors import OptionError
from kouxing.text.align import SHORTEST_PAUSE, align, reliability, same, shuffled
from kouxing.text.align_graph import FINAL, NOBODY, expected, graph_of
from kouxing.text.phones import CLASS, MOUTHS, REST
from kouxing.text.pronounce import Said
from kouxing.text.rows import WIDTH, text_rows
from kouxing.text.transcripts import Cue, Transcript
from kouxing.types import Float

WAYS = {
    "bee": ((CLASS["bilabial"], CLASS["spread"]),),
    "foo": ((CLASS["labiodental"], CLASS["rounded-close"]),),
    "a": ((CLASS["mid"],), (CLASS["open"], CLASS["spread"])),
    "so": ((CLASS["sibilant"], CLASS["rounded-mid"]),),
    "oo": ((CLASS["rounded-close"],),),
}


class Book:
    """A pronouncer that knows five words."""

    def __init__(self, seconds: dict[str, tuple[float, ...]] | None = None) -> None:
        self.seconds = seconds or {}

    def sentence(self, text: str) -> list[tuple[str, tuple[Said, ...]]]:
        return [
            (word, tuple(Said(way, self.seconds.get(word, (0.15,) * len(way))) for way in WAYS[word]))
            for word in text.split()
        ]


def heard(parts: list[tuple[str, int]], sure: float = 0.9) -> Float:
    """Log probabilities of a sound of (class, mel frames)."""
    told = np.concatenate([np.full(count, CLASS[name]) for name, count in parts])
    probs = np.full((len(told), len(MOUTHS)), (1 - sure) / (len(MOUTHS) - 1))
    probs[np.arange(len(told)), told] = sure
    return np.log(probs).astype(np.float32)


SOUND = [("rest", 20), ("bilabial", 8), ("spread", 12), ("labiodental", 10), ("rounded-close", 10), ("rest", 15),
         ("open", 9), ("spread", 7), ("sibilant", 12), ("rounded-mid", 17), ("rest", 10)]  # fmt: skip


def test_words_get_their_times_with_and_without_pauses_between() -> None:
    found = align(heard(SOUND), Transcript((Cue("bee foo a so"),), "t"), Book())  # type: ignore[arg-type]
    times = [(word.text, round(word.start_s, 2), round(word.end_s, 2)) for word in found.words]
    assert times == [("bee", 0.2, 0.4), ("foo", 0.4, 0.6), ("a", 0.75, 0.91), ("so", 0.91, 1.2)]
    assert (found.classes == np.concatenate([np.full(count, CLASS[name]) for name, count in SOUND])).all()
    assert found.lead > 1 and found.misfit < 0.01 and same(found)


@pytest.mark.parametrize("sure", [0.95, 0.8, 0.1])
def test_words_that_are_not_said_are_told(sure: float) -> None:
    wrong = align(heard(SOUND, sure), Transcript((Cue("so a so so bee a"),), "t"), Book())  # type: ignore[arg-type]
    right = align(heard(SOUND, sure), Transcript((Cue("bee foo a so"),), "t"), Book())  # type: ignore[arg-type]
    assert wrong.misfit > right.misfit and wrong.lead < right.lead and same(right)
    # In noise nothing is heard surely, and the text is believed.
    assert same(wrong) == (sure < 0.2)


def test_cues_keep_words_within_their_times() -> None:
    cues = (Cue("bee foo", 0.1, 0.7), Cue("so", 0.92, 1.19, exact=True))
    found = align(heard(SOUND), Transcript(cues, "t"), Book())  # type: ignore[arg-type]
    assert [(round(word.start_s, 2), round(word.end_s, 2)) for word in found.words] == [
        (0.2, 0.4), (0.4, 0.6), (0.92, 1.19),
    ]  # fmt: skip
    assert (found.classes[119:] == REST).all() and len(found.classes) == len(heard(SOUND))


def test_subtitles_that_touch_or_overlap_do_not_push_each_other_back() -> None:
    """The end of a subtitle is not where its last word ends, and the next one's sounds are not its own."""
    whole = align(heard(SOUND), Transcript((Cue("bee foo a so"),), "t"), Book())  # type: ignore[arg-type]
    for end_s, begin_s in ((0.6, 0.6), (0.75, 0.5), (0.45, 0.7)):
        cues = (Cue("bee foo", 0.1, end_s), Cue("a so", begin_s, 1.25))
        assert align(heard(SOUND), Transcript(cues, "t"), Book()).words == whole.words  # type: ignore[arg-type]


def test_what_is_said_in_a_hole_is_told_from_what_is_missing_and_pauses_stay() -> None:
    log_probs, lost = heard(SOUND), np.zeros(130, bool)
    lost[:20], lost[40:95], lost[120:] = True, True, True
    # Without knowing of the hole, its words are squeezed into what is heard.
    log_probs[lost] = heard([("rest", 1)])
    found = align(log_probs, Transcript((Cue("bee foo a so"),), "t"), Book(), lost)  # type: ignore[arg-type]
    times = [(round(word.start_s, 2), round(word.end_s, 2)) for word in found.words]
    assert abs(times[0][0] - 0.2) < 0.05 and times[0][1] == 0.4 and abs(times[3][0] - 0.95) < 0.12
    assert 0.4 <= times[1][0] < times[1][1] <= times[2][0] < times[2][1] <= 0.95
    # There was a pause; people who are not heard are believed to go on.
    assert (found.classes[40:95] != REST).all()
    assert (found.classes[:16] == REST).all() and (found.classes[124:] == REST).all()


@pytest.mark.parametrize(
    ("cue", "mels", "told"),
    [
        (Cue("bee foo"), 3, "too short"),
        (Cue("bee"), 18_100, "longer than"),
        (Cue("bee", 2.0, 3.0), 120, "behind the end"),
        (Cue("bee", 1.0, 400.0), 40_000, "shorter cues"),
    ],
)
def test_what_cannot_be_laid_onto_the_sound_is_refused(cue: Cue, mels: int, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        align(heard([("mid", mels)]), Transcript((cue,), "t"), Book())  # type: ignore[arg-type]


def test_disorder_keeps_the_sounds() -> None:
    said = Book().sentence("bee foo a so")
    flat = sorted(one for _, ways in said for one in zip(*ways[0][:2], strict=True))
    for order in shuffled(said):
        assert sorted(one for ways in order for one in zip(*ways[0][:2], strict=True)) == flat
    assert shuffled(Book().sentence("bee")) == []


def test_where_nothing_is_heard_lengths_decide() -> None:
    log_probs, lost = heard(SOUND), np.zeros(130, bool)
    lost[40:95] = True
    lengths = []
    for seconds in ((0.05, 0.1), (0.4, 0.6)):
        book = Book({"foo": seconds})
        found = align(log_probs, Transcript((Cue("bee foo a so"),), "t"), book, lost)  # type: ignore[arg-type]
        foo = found.words[1]
        lengths.append(foo.end_s - foo.start_s)
        assert 0.4 <= foo.start_s < foo.end_s < 0.95
    assert lengths[0] + 0.03 < lengths[1] and expected(CLASS["sibilant"], 0.1) > expected(CLASS["dental"], 0.1)
    # A long hole with a single short word: the rest is pause.
    lost[95:], log_probs = True, np.concatenate([log_probs, heard([("rest", 100)])])
    lost = np.concatenate([lost, np.ones(100, bool)])
    found = align(log_probs, Transcript((Cue("bee foo"),), "t"), Book(), lost)  # type: ignore[arg-type]
    assert found.words[1].end_s - found.words[1].start_s < 0.6 and (found.classes == REST).sum() > 120


def test_placements_agree_where_words_are_heard_and_differ_in_a_hole() -> None:
    log_probs, lost = heard(SOUND), np.zeros(130, bool)
    text = Transcript((Cue("bee foo a so"),), "t")
    found = align(log_probs, text, Book(), placements=6)  # type: ignore[arg-type]
    assert found.several.shape == (6, 130) and (found.several == found.classes).mean() > 0.97
    assert align(log_probs, text, Book()).several.shape == (1, 130)  # type: ignore[arg-type]
    lost[40:95] = True
    one, two = (align(log_probs, text, Book(), lost, 6) for _ in range(2))  # type: ignore[arg-type]
    assert np.array_equal(one.several, two.several)
    differ = (one.several != one.classes).mean(0)
    assert differ[45:90].mean() > 0.2 and differ[:30].mean() < 0.1 and differ[105:].mean() < 0.1
    # Every placement says all of the words ("a" in one of its ways), without a pause in the hole.
    names = ("bilabial", "spread", "labiodental", "rounded-close", "sibilant", "rounded-mid")
    assert all({CLASS[name] for name in names} <= set(told) for told in one.several)
    assert (one.several[:, 40:95] != REST).all()


def test_placements_know_lengths_from_the_sentence() -> None:
    class Fluent(Book):
        """Says the first word of a sentence in a moment, or drawn out."""

        def __init__(self, first: float) -> None:
            super().__init__()
            self.first = first

        def sentence(self, text: str) -> list[tuple[str, tuple[Said, ...]]]:
            (word, (said, *_)), *others = super().sentence(text)
            return [(word, (said._replace(fluent=(self.first,) * len(said.places)),)), *others]

    log_probs, lost = heard(SOUND), np.zeros(130, bool)
    lost[15:65] = True
    text = Transcript((Cue("bee foo a so"),), "t")
    second = []
    for first in (0.05, 0.4):
        found = align(log_probs, text, Fluent(first), lost, 12)  # type: ignore[arg-type]
        second.append(np.mean((found.several == CLASS["labiodental"]).argmax(1)))
        # The likeliest one knows words as said alone.
        assert [word.start_s for word in found.words] == [
            word.start_s
            for word in align(log_probs, text, Book(), lost).words  # type: ignore[arg-type]
        ]
    assert second[0] + 5 < second[1]


def test_words_are_found_in_noise_by_how_loud_it_is() -> None:
    log_probs = np.log(np.full((300, len(MOUTHS)), 1 / len(MOUTHS), np.float32))
    log_probs[:, REST] += 0.6
    log_probs[150:210, REST] -= 0.3
    loud = np.random.default_rng(0).normal(0, 0.05, 300)
    loud[150:210] += 0.12
    text = Transcript((Cue("bee foo a so"),), "t")
    found = align(log_probs, text, Book(), loud=loud)  # type: ignore[arg-type]
    assert abs(found.words[0].start_s - 1.5) < 0.15 and abs(found.words[-1].end_s - 2.1) < 0.15


def test_placements_keep_to_their_cues() -> None:
    cues = (Cue("bee foo", 0.1, 0.7), Cue("so", 0.92, 1.19, exact=True))
    found = align(heard(SOUND), Transcript(cues, "t"), Book(), placements=4)  # type: ignore[arg-type]
    assert (found.several[:, 119:] == REST).all() and (found.several[:, 92:119] != REST).all()


def test_what_is_heard_unsurely_counts_less() -> None:
    sure, unsure = heard(SOUND, 0.95), heard(SOUND, 0.2)
    assert (reliability(sure) == 1).all() and (reliability(unsure) < 0.3).all()
    both = reliability(np.concatenate([sure, sure, unsure, unsure]))
    assert both[0] > both[-1] and (np.diff(both) <= 1e-4).all()


@pytest.mark.parametrize("count", [52, 300])
def test_a_sound_may_last_longer_than_any_that_is_looked_up(count: int) -> None:
    sound = heard([("rest", 10), ("bilabial", 8), ("spread", count), ("rest", 10)])
    (word,) = align(sound, Transcript((Cue("bee"),), "t"), Book()).words  # type: ignore[arg-type]
    assert (word.start_s, word.end_s) == (0.1, round(0.18 + count / 100, 2))


def test_a_word_of_a_single_sound_fills_its_exact_cue() -> None:
    told = Transcript((Cue("oo", 0.05, 0.2, exact=True),), "t")
    (word,) = align(heard([("rest", 30)]), told, Book()).words  # type: ignore[arg-type]
    assert (word.start_s, word.end_s) == (0.05, 0.2)


def test_rows_tell_classes_and_times() -> None:
    classes = np.array([REST] * 8 + [CLASS["bilabial"]] * 6 + [CLASS["open"]] * 10)
    rows = text_rows(classes, 8)
    assert rows.shape == (8, WIDTH)
    assert rows[0, REST] == 1 and rows[3, CLASS["bilabial"]] == 0.5 == rows[3, CLASS["open"]]
    assert (rows[6:, REST] == 1).all()
    since, left, length = rows[4, len(MOUTHS) :]
    assert since < left < length < 1
    later = np.roll(classes, 4)
    both = text_rows(np.stack([classes, later]), 8)
    np.testing.assert_allclose(both, (rows + text_rows(later, 8)) / 2, atol=1e-6)


def test_strange_voices_that_are_held_for_pauses_are_told_by_how_loud_they_are() -> None:
    log_probs, loud = heard(SOUND), np.full(130, -0.8)
    loud[20:60] = loud[75:120] = 1.0
    # "foo" is held for a pause, though its sounds come second.
    log_probs[40:60, REST] = np.log(0.9)
    log_probs[40:60] -= np.log(np.exp(log_probs[40:60]).sum(1, keepdims=True))
    log_probs[40:60, REST] += 1.5
    text = Transcript((Cue("bee foo a so"),), "t")
    times = [
        [(round(word.start_s, 2), round(word.end_s, 2)) for word in align(log_probs, text, Book(), **given).words]  # type: ignore[arg-type]
        for given in ({}, {"loud": loud}, {"loud": loud, "lost": np.arange(130) >= 122})
    ]
    assert times[0][1] != (0.4, 0.6) and times[1] == times[2] == [(0.2, 0.4), (0.4, 0.6), (0.75, 0.91), (0.91, 1.2)]
    # Where all of the sound is gone nothing is loud.
    found = align(log_probs, text, Book(), np.ones(130, bool), loud=loud)  # type: ignore[arg-type]
    assert len(found.words) == 4


def test_sounds_before_a_pause_are_drawn_out() -> None:
    said = [ways for _, ways in Book().sentence("so a so")]
    graph = graph_of(said)
    first = graph.word == 0
    vowel = graph.lengths[first & (graph.emits == CLASS["rounded-mid"])]
    assert len(vowel) == 2 and vowel.max() == pytest.approx(FINAL * vowel.min())
    assert (first & (graph.emits == CLASS["sibilant"])).sum() == 1
    # The pause comes after the drawn out vowel only, the next word after both ways.
    drawn = int(np.flatnonzero(graph.lengths == vowel.max())[0])
    pause = int(np.flatnonzero(graph.word == NOBODY)[1])
    assert [one for one in graph.before[pause] if one < len(graph.emits)] == [drawn]
    # The end of all is drawn out as well, and without pauses nothing else is.
    bare = graph_of(said, pauses=False)
    assert (bare.word != NOBODY).all() and len(bare.emits) == 7 and bare.ends.sum() == 1
    assert bare.lengths[bare.ends][0] == pytest.approx(vowel.max())


def test_a_pause_between_words_has_a_least_length() -> None:
    parts = [("rest", 20), ("bilabial", 8), ("spread", 12), ("rest", 3), ("labiodental", 10), ("rounded-close", 10),
             ("rest", 20)]  # fmt: skip
    found = align(heard(parts), Transcript((Cue("bee foo"),), "t"), Book())  # type: ignore[arg-type]
    assert found.words[0].end_s == found.words[1].start_s and (found.classes[20:63] != REST).all()
    longer = [*parts[:3], ("rest", SHORTEST_PAUSE), *parts[4:]]
    found = align(heard(longer), Transcript((Cue("bee foo"),), "t"), Book())  # type: ignore[arg-type]
    assert (found.classes == REST).sum() == 40 + SHORTEST_PAUSE
