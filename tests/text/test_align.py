"""Forced alignment on a sound whose phones are known frame by frame."""

from __future__ import annotations

import numpy as np
import pytest

from kouxing.errors import OptionError
from kouxing.text.align import align, same, shuffled
from kouxing.text.phones import CLASS, MOUTHS, REST
from kouxing.text.rows import WIDTH, text_rows
from kouxing.text.transcripts import Cue, Transcript
from kouxing.types import Float

WAYS = {
    "bee": ((CLASS["bilabial"], CLASS["spread"]),),
    "foo": ((CLASS["labiodental"], CLASS["rounded-close"]),),
    "a": ((CLASS["mid"],), (CLASS["open"], CLASS["spread"])),
    "so": ((CLASS["sibilant"], CLASS["rounded-mid"]),),
}


class Book:
    """A pronouncer that knows four words."""

    def sentence(self, text: str) -> list[tuple[str, tuple[tuple[int, ...], ...]]]:
        return [(word, WAYS[word]) for word in text.split()]


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


def test_what_is_said_in_a_hole_is_told_from_what_is_missing_and_pauses_stay() -> None:
    log_probs, lost = heard(SOUND), np.zeros(130, bool)
    lost[:20], lost[40:95], lost[120:] = True, True, True
    # Without knowing of the hole, its words are squeezed into what is heard.
    log_probs[lost] = heard([("rest", 1)])
    found = align(log_probs, Transcript((Cue("bee foo a so"),), "t"), Book(), lost)  # type: ignore[arg-type]
    times = [(round(word.start_s, 2), round(word.end_s, 2)) for word in found.words]
    assert times[0] == (0.2, 0.4) and times[3] == (0.95, 1.2)
    assert [times[1][0], times[2][1]] == [0.4, 0.95] and times[1][1] == times[2][0] and 0.6 < times[1][1] < 0.85
    assert (found.classes[:20] == REST).all() and (found.classes[120:] == REST).all()


@pytest.mark.parametrize(
    ("cue", "mels", "told"),
    [
        (Cue("bee foo"), 3, "too short"),
        (Cue("bee"), 18_100, "longer than"),
        (Cue("bee", 2.0, 3.0), 120, "behind the end"),
    ],
)
def test_what_cannot_be_laid_onto_the_sound_is_refused(cue: Cue, mels: int, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        align(heard([("mid", mels)]), Transcript((cue,), "t"), Book())  # type: ignore[arg-type]


def test_disorder_keeps_the_sounds() -> None:
    said = Book().sentence("bee foo a so")
    flat = sorted(place for _, ways in said for place in ways[0])
    for order in shuffled(said):
        assert sorted(place for ways in order for place in ways[0]) == flat
    assert shuffled(Book().sentence("bee")) == []


def test_rows_tell_classes_and_times() -> None:
    classes = np.array([REST] * 8 + [CLASS["bilabial"]] * 6 + [CLASS["open"]] * 10)
    rows = text_rows(classes, 8)
    assert rows.shape == (8, WIDTH)
    assert rows[0, REST] == 1 and rows[3, CLASS["bilabial"]] == 0.5 == rows[3, CLASS["open"]]
    assert (rows[6:, REST] == 1).all()
    since, left, length = rows[4, len(MOUTHS) :]
    assert since < left < length < 1
