"""Text to speech, piece by piece: nothing is lost, the first sound is early, a dead worker is replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.errors import MediaError, OptionError
from kouxing.face.closure import lip_distance
from kouxing.server.text import (
    MOST_PIECE,
    MOST_TEXT,
    Espeak,
    SpokenPiece,
    checked,
    pieces,
    speaking,
    touching,
    voice_names,
)
from kouxing.text.phones import Phone
from kouxing.text.speak import DiedError, Speaker, Spoken, Voice
from kouxing.units import SAMPLE_HZ


async def all_of(spoken: AsyncIterator[SpokenPiece]) -> list[SpokenPiece]:
    return [piece async for piece in spoken]


# Pieces


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hello. How are you?", ["Hello.", "How are you?"]),
        ("Dr. J. Smith paid 3.50 at 9 a.m. sharp!", ["Dr. J. Smith paid 3.50 at 9 a.m. sharp!"]),
        ("“Really?” Yes… No.", ["“Really?”", "Yes…", "No."]),
        ("你好。今天天气很好！对吗？", ["你好。", "今天天气很好！", "对吗？"]),
        ("One line\n\nanother line", ["One line", "another line"]),
        ("no end", ["no end"]),
        ('He said "stop." - and left', ['He said "stop."', "- and left"]),
        ("... Hello there. How are you?", ["... Hello there.", "How are you?"]),
        ("!!! “…” Wow. Oh.", ["!!!“…” Wow.", "Oh."]),
    ],
)  # fmt: skip
def test_sentences(text: str, wanted: list[str]) -> None:
    assert pieces(text) == wanted


def test_long_sentences_are_cut_at_a_comma_or_a_space() -> None:
    text = "one two three, " * 40
    made = pieces(text.strip(), first=40)
    assert len(made[0]) <= 40 and max(map(len, made)) <= MOST_PIECE
    assert all(piece.endswith(",") for piece in made[:-1])
    assert "".join(made).replace(" ", "") == text.replace(" ", "")
    assert max(map(len, pieces("口" * 1000))) <= MOST_PIECE


@given(st.text(st.sampled_from('aB 0.!?,。，"”…-\n口'), max_size=600), st.integers(10, 80))
def test_nothing_of_a_text_is_lost(text: str, first: int) -> None:
    made = pieces(text, first=first)
    assert "".join("".join(made).split()) == "".join(text.split())
    assert all(piece and piece == piece.strip() for piece in made)
    assert all(any(map(str.isalnum, piece)) for piece in made) or not any(map(str.isalnum, text))


@pytest.mark.parametrize(
    ("text", "language", "word"),
    [("", "en", "nothing"), (" \n ", "en", "nothing"), ("...", "en", "nothing"),
     ("a" * (MOST_TEXT + 1), "en", "at most"), ("a", "", "language"),
     ("a", "en us", "language"), ("a", "-en", "language"), ("a", "../en", "language"),
     ("a", "e" * 40, "language"), ("a", "en\n", "language")],
)  # fmt: skip
def test_what_cannot_be_said_is_refused_in_one_line(text: str, language: str, word: str) -> None:
    with pytest.raises(OptionError, match=word) as caught:
        checked(text, language)
    assert "\n" not in str(caught.value)


def test_control_characters_are_not_spoken() -> None:
    assert checked(" a\x00b\x1b[31m\tc ", "en") == "a b [31m c"


def test_browsers_names_of_languages() -> None:
    assert voice_names("zh-CN")[0] == "cmn" and voice_names("en-US")[0] == "en-us"
    assert voice_names("de-DE")[:2] == ["de-de", "de"] and voice_names("de+f3") == ["de+f3"]
    assert "en-us+m2" in voice_names("en-NZ+m2")


# A worker of the test's own


class FakeSpeaker:
    """Speaks a quarter of a second at 22,050 Hz for each piece; may die or hang before."""

    def __init__(self, deaths: list[str]) -> None:
        self.deaths, self.killed, self.closed = deaths, False, False

    def speak(self, text: str, voice: Voice = Voice()) -> Spoken:
        if self.deaths:
            self.deaths.pop()
            raise DiedError("died")
        count = 22050 // 4
        return Spoken(np.full(count, 0.5, np.float32), 22050, (Phone("a", 0.0, 0.25),))

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        self.closed = True


def test_pieces_follow_each_other_without_a_gap() -> None:
    async def run() -> list[SpokenPiece]:
        speaker = Espeak(lambda: FakeSpeaker([]))
        made = await all_of(speaker.speak("One. Two, and more. Three", "en"))
        await speaker.close()
        return made

    made = asyncio.run(run())
    assert [piece.text for piece in made] == ["One.", "Two, and more.", "Three"]
    at = 0
    for piece in made:
        assert piece.start == at and piece.samples.dtype == np.float32 and piece.rows is None
        at += len(piece.samples)
    # A quarter of a second each, and a pause behind all but the last.
    assert [len(piece.samples) for piece in made] == [SAMPLE_HZ // 2, SAMPLE_HZ // 2, SAMPLE_HZ // 4]


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_dead_worker_is_replaced_once(deaths: int) -> None:
    left, made = ["x"] * deaths, []

    def start() -> FakeSpeaker:
        made.append(FakeSpeaker(left))
        return made[-1]

    async def run() -> list[SpokenPiece]:
        speaker = Espeak(start)
        try:
            return await all_of(speaker.speak("One.", "en"))
        finally:
            await speaker.close()

    if deaths == 1:
        assert len(asyncio.run(run())) == 1 and len(made) == 2 and made[0].closed
    else:
        with pytest.raises(MediaError, match="died twice"):
            asyncio.run(run())


# espeak-ng itself


def test_espeak_speaks_with_phones_and_starts_early() -> None:
    pytest.importorskip("espeakng_loader")

    async def run() -> None:
        speaker = speaking()
        await speaker.warm()
        first = None
        async for piece in speaker.speak("Mama. " + "A very long text follows, and it goes on. " * 50, "en-US"):
            first = piece
            break
        assert first is not None and first.text == "Mama." and len(first.samples) > SAMPLE_HZ // 4
        assert [phone.symbol for phone in first.phones].count("m") == 2
        assert len(first.contact) == -(-len(first.samples) * 60 // SAMPLE_HZ) and (first.contact == 1).sum() >= 6
        assert np.abs(first.samples).max() > 0.1 and first.phones[-1].end_s <= len(first.samples) / SAMPLE_HZ
        # The generator that was left behind disturbs no other text.
        others = await asyncio.gather(*(all_of(speaker.speak("Guten Tag. Wie geht es?", "de-DE")) for _ in range(3)))
        assert all([piece.text for piece in one] == ["Guten Tag.", "Wie geht es?"] for one in others)
        with pytest.raises(OptionError, match="xx-none"):
            await all_of(speaker.speak("a", "xx-none"))
        with pytest.raises(OptionError, match="such as cmn"):
            await all_of(speaker.speak("你好。"))
        assert len(await all_of(speaker.speak("你好。", "zh-CN"))) == 1
        await speaker.close()

    asyncio.run(run())


def test_lips_touch_where_the_phones_ask_for_it() -> None:
    rows = np.random.default_rng(0).random((30, 52)).astype(np.float32)
    contact = np.zeros(30, np.float32)
    contact[10:15], contact[20] = 1, 0.5
    made = touching(rows, contact)
    before, after = lip_distance(rows), lip_distance(made)
    assert (after[10:15] <= 1e-5).all()
    assert after[20] == pytest.approx(max(before[20], 0) / 2 + min(before[20], 0), abs=1e-5)
    np.testing.assert_array_equal(made[contact == 0], rows[contact == 0])
    assert made.min() >= 0 and made.max() <= 1 and touching(rows, contact * 0) is rows


def test_a_killed_espeak_is_replaced_and_cancelling_loses_nothing() -> None:
    pytest.importorskip("espeakng_loader")

    async def run() -> None:
        speaker = Espeak()
        whole = await all_of(speaker.speak("One. Two. Three.", "en"))
        os.kill(speaker._speaker._process.pid, signal.SIGKILL)
        again = await all_of(speaker.speak("One. Two. Three.", "en"))
        assert [piece.text for piece in again] == [piece.text for piece in whole]
        # Cancelled in the middle of an answer: the next text gets its own answer, not the rest of this one.
        for turn in range(20):
            task = asyncio.ensure_future(all_of(speaker.speak("This is not to be finished. " * 160, "en")))
            for _ in range(turn):
                await asyncio.sleep(0.0002)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            (piece,) = await all_of(speaker.speak("Mama", "en"))
            assert [phone.symbol for phone in piece.phones].count("m") == 2
        await speaker.close()

    asyncio.run(run())


def test_a_worker_that_hangs_is_ended() -> None:
    pytest.importorskip("espeakng_loader")

    async def run() -> None:
        speaker = Espeak()
        await speaker.warm()
        speaker._piece_s = 0.3
        os.kill(speaker._speaker._process.pid, signal.SIGSTOP)
        with pytest.raises(MediaError, match="too long"):
            await all_of(speaker.speak("Hello", "en"))
        speaker._piece_s = 60.0
        assert len(await all_of(speaker.speak("Hello", "en"))) == 1
        await speaker.close()

    asyncio.run(run())


def test_a_cancellation_that_meets_an_answer_is_not_forgotten() -> None:
    """A session that is interrupted in the very moment in which a piece is ready must fall silent."""

    async def run() -> None:
        speaker = Espeak(lambda: FakeSpeaker([]))
        loop = asyncio.get_running_loop()
        made = loop.create_future()
        loop.run_in_executor = lambda *given: made
        task = asyncio.ensure_future(all_of(speaker.speak("One. Two.", "en")))
        await asyncio.sleep(0)
        made.set_result(Spoken(np.zeros(100, np.float32), SAMPLE_HZ, ()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del loop.run_in_executor
        await speaker.close()

    asyncio.run(run())


def test_without_espeak_the_message_says_what_to_install() -> None:
    def start() -> Speaker:
        raise OptionError("espeak-ng is not installed; run: pip install 'kouxing[text]'")

    with pytest.raises(OptionError, match=r"kouxing\[text\]"):
        asyncio.run(Espeak(start).warm())
