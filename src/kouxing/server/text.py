"""Text -> speech, piece by piece, so that the first sound comes while the rest is still being made.

    speaker = speaking(None)                          # espeak-ng; or a command, or an address, see ``server.tts``
    async for piece in speaker.speak("Hello. How are you?", "en-us"):
        ...                                           # SpokenPiece: samples at 16 kHz, phones or viseme rows
    await speaker.close()

One speaker serves all sessions: pieces of several texts take turns. To stop one, close its generator or cancel its
task.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kouxing.errors import MediaError, OptionError
from kouxing.face.closure import lip_distance
from kouxing.infer.rest import nearer
from kouxing.media.sound import resampled
from kouxing.text.phones import Phone
from kouxing.text.script import check_script
from kouxing.text.speak import DiedError, NoVoiceError, Speaker, Spoken, Voice
from kouxing.text.visemes import contact_of_phones
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ, exact

MOST_TEXT = 5000
"""Characters of one text: about six minutes of speech."""
MOST_PIECE = 200
"""Characters of one piece; longer sentences are cut at a comma or a space."""
PIECE_S = 10.0
"""A piece takes espeak-ng milliseconds; a worker that needs so long hangs and is replaced."""
SENTENCE_PAUSE, COMMA_PAUSE = exact(SAMPLE_HZ, 4), exact(SAMPLE_HZ, 10)
"""Samples between pieces: 250 ms and 100 ms."""
LANGUAGE = "en-us"
_LANGUAGE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}")
_NAMES = {"zh": "cmn", "zh-cn": "cmn", "zh-hans": "cmn", "zh-tw": "cmn", "zh-hk": "yue", "no": "nb", "en": "en-us"}
"""Names that browsers give -> espeak-ng's."""

_CLOSING = r"[\"'”’»)\]」』）]*"
_ENDS = re.compile(rf"[.!?…]+{_CLOSING}(?=\s|$)|[。！？｡]+{_CLOSING}|\n\s*\n")
_COMMAS = re.compile(r"[,;:—–](?=\s)|[，、；：]")
_SHORT = re.compile(r"(?:^|[\s.(])(?:[A-Za-z]|Dr|Mrs?|Ms|Prof|St|Sr|Jr|Hr|Fr|Sra?|Mme|vs|Nr|No|ca|bzw)\.$")
"""An initial or a title: its point ends no sentence. A sentence that does end so only grows longer."""


@dataclass(frozen=True)
class SpokenPiece:
    """A part of a text as speech.

    Attributes:
        samples: ``[N] float32``, -1..1, at ``SAMPLE_HZ``.
        start: samples since the text's beginning at which the piece begins.
        text: what is said in it.
        phones: IPA with seconds from the piece's beginning; empty where the speaker does not tell them.
        rows: ``[n, 52] float32`` at ``COEFFICIENT_HZ`` from the piece's beginning, where the speaker told viseme
            times; None: the sound tells the face.
        contact: ``[n] float32`` at ``COEFFICIENT_HZ``: how surely the lips touch, where phones are told; a face that
            follows the sound is closed by ``touching``. None: not told.
    """

    samples: Float
    start: int
    text: str
    phones: tuple[Phone, ...] = ()
    rows: Float | None = None
    contact: Float | None = None


def touching(rows: Float, contact: Float) -> Float:
    """Rows ``[n, 52]`` with the lips as near as ``contact`` ``[n]`` asks: at 1 they touch, whatever the sound told."""
    return nearer(rows, contact * np.maximum(lip_distance(rows), 0)) if contact.any() else rows


class Speaking(Protocol):
    """Speaks texts for any number of sessions."""

    def speak(self, text: str, language: str = LANGUAGE) -> AsyncIterator[SpokenPiece]:
        """The pieces of a text, in order.

        Raises:
            OptionError: empty or too long, or no such language.
            MediaError: the speaker failed, was too slow, or answered with something else than speech.
        """
        ...

    async def warm(self) -> None:
        """Make the first text as quick as the others; raises as ``speak``."""
        ...

    async def close(self) -> None:
        """End its processes."""
        ...


def checked(text: str, language: str) -> str:
    """A text that may be spoken: control characters out, spaces at its ends too.

    Raises:
        OptionError: nothing to say, too long, or a language that cannot be one.
    """
    clean = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text).strip()
    if not any(letter.isalnum() for letter in clean):
        raise OptionError("the text has nothing to say in it; write a word")
    if len(clean) > MOST_TEXT:
        raise OptionError(f"the text has {len(clean)} characters; send at most {MOST_TEXT} at a time")
    if _LANGUAGE.fullmatch(language) is None:
        raise OptionError(f"language {language[:40]!r} cannot be one; write it like en-us, de or cmn")
    return clean


def pieces(text: str, most: int = MOST_PIECE, first: int | None = None) -> list[str]:
    """A text in sentences, long ones cut at a comma, else at a space; nothing but spaces is lost.

    Args:
        text: checked.
        most: characters of a piece.
        first: characters of the first piece, for speakers that take long; by default as the others.
    """
    made: list[str] = []
    for sentence in _sentences(text):
        rest = sentence
        while rest:
            limit = (first or most) if not made else most
            cut = len(rest) if len(rest) <= limit else _cut(rest, limit)
            made.append(rest[:cut].strip())
            rest = rest[cut:].strip()
    # A quote mark or a dash left by itself belongs to what was said before, dots at the very beginning to what follows:
    # alone they are no speech, and a speaker that answers so has failed.
    joined: list[str] = []
    begun = ""
    for piece in filter(None, made):
        if any(letter.isalnum() for letter in piece):
            joined.append(f"{begun} {piece}".strip())
            begun = ""
        elif joined:
            joined[-1] += piece
        else:
            begun += piece
    return joined if joined or not begun else [begun]


def _sentences(text: str) -> list[str]:
    found, begin = [], 0
    for end in _ENDS.finditer(text):
        sentence = text[begin : end.end()]
        if _SHORT.search(sentence) is None:
            found.append(sentence.strip())
            begin = end.end()
    return [*found, text[begin:].strip()]


def _cut(text: str, limit: int) -> int:
    commas = [found.end() for found in _COMMAS.finditer(text, 0, limit)]
    if commas and commas[-1] >= limit // 4:
        return commas[-1]
    space = text.rfind(" ", 1, limit)
    return space if space > 0 else limit


def _pause(piece: str) -> int:
    """Samples of silence behind a piece that others follow: espeak-ng makes none at the end of a text."""
    if _ENDS.search(piece, max(0, len(piece) - 3)):
        return SENTENCE_PAUSE
    return COMMA_PAUSE if _COMMAS.search(piece + " ", len(piece) - 1) else 0


def at_16_khz(samples: Float, rate_hz: int) -> Float:
    """``[N]`` samples at another rate -> ``SAMPLE_HZ``."""
    if rate_hz == SAMPLE_HZ:
        return samples
    blocks = [block[0] for block in resampled(iter([samples[None]]), rate_hz, SAMPLE_HZ, "mono")]
    return np.clip(np.concatenate(blocks), -1, 1) if blocks else np.zeros(0, np.float32)


class Espeak:
    """espeak-ng in its worker process, with phone times. The worker starts with the first text, or with ``warm``.

    Args:
        start: makes the worker; for tests.
        piece_s: how long a piece may take.
    """

    def __init__(self, start: Callable[[], Speaker] = Speaker, piece_s: float = PIECE_S) -> None:
        self._start = start
        self._piece_s = piece_s
        self._speaker: Speaker | None = None
        # One thread: the worker answers one request at a time, and requests wait here in their order.
        self._thread = ThreadPoolExecutor(1, "espeak")

    async def speak(self, text: str, language: str = LANGUAGE) -> AsyncIterator[SpokenPiece]:
        """See ``Speaking``."""
        clean = checked(text, language)
        check_script(clean, language, "the text")
        start, waiting = 0, pieces(clean)
        for number, piece in enumerate(waiting):
            spoken = await self._say(piece, language)
            pause = _pause(piece) if number + 1 < len(waiting) else 0
            samples = np.concatenate([spoken.samples, np.zeros(pause, np.float32)])
            contact = contact_of_phones(spoken.phones, len(samples) / SAMPLE_HZ)
            yield SpokenPiece(samples, start, piece, spoken.phones, contact=contact)
            start += len(samples)

    async def warm(self) -> None:
        """See ``Speaking``."""
        await self._say("a", LANGUAGE)

    async def close(self) -> None:
        """See ``Speaking``."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            await asyncio.to_thread(speaker.close)

    async def _say(self, piece: str, language: str) -> Spoken:
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._blocking, piece, language)
        # What the worker answers is read even when nobody wants it any more; its failure is nobody's then.
        work.add_done_callback(lambda done: done.cancelled() or done.exception())
        # Not wait_for, which until Python 3.12 forgets a cancellation that comes together with the answer.
        if not (await asyncio.wait([work], timeout=self._piece_s))[0]:
            if self._speaker is not None:
                self._speaker.kill()
            raise MediaError("espeak-ng took too long; its worker was replaced, say it again")
        return work.result()

    def _blocking(self, piece: str, language: str) -> Spoken:
        """In the thread: make a piece at 16 kHz; a worker that died is started anew once."""
        try:
            spoken = self._in_language(piece, language)
        except DiedError:
            self._bury()
            try:
                spoken = self._in_language(piece, language)
            except DiedError as error:
                self._bury()
                raise MediaError("espeak-ng's worker died twice at this text; leave odd signs out") from error
        return Spoken(at_16_khz(spoken.samples, spoken.rate_hz), SAMPLE_HZ, spoken.phones)

    def _bury(self) -> None:
        speaker, self._speaker = self._speaker, None
        if speaker is not None:
            speaker.kill()
            speaker.close()

    def _in_language(self, piece: str, language: str) -> Spoken:
        """Under the first name of the language that espeak-ng knows."""
        speaker = self._speaker = self._speaker or self._start()
        names = voice_names(language)
        for name in names[:-1]:
            with suppress(NoVoiceError):
                return speaker.speak(piece, Voice(name))
        try:
            return speaker.speak(piece, Voice(names[-1]))
        except NoVoiceError as error:
            raise OptionError(
                f"language {language!r}: espeak-ng has no voice for it; write it like de or cmn"
            ) from error


def voice_names(language: str) -> list[str]:
    """Names under which espeak-ng may know a language, the likeliest first: ``de-DE`` is ``de`` there."""
    name, plus, variant = language.partition("+")
    small = name.lower().replace("_", "-")
    names = [_NAMES.get(small, small), small, small.split("-")[0], _NAMES.get(small.split("-")[0], "")]
    return list(dict.fromkeys(f"{one}{plus}{variant}" for one in names if one))


def speaking(tts: str | None = None) -> Speaking:
    """The speaker that the operator asked for.

    Args:
        tts: None: espeak-ng (``kouxing[text]``); ``http://…`` or ``https://…``: a service; else a command line.

    Raises:
        OptionError: no such command, or no such address.
    """
    if tts is None:
        return Espeak()
    from kouxing.server.tts import external

    return external(tts)
