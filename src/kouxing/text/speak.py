"""Text -> speech with exact phone times, by espeak-ng in a worker process (optional: ``pip install kouxing[text]``)."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from kouxing.errors import OptionError
from kouxing.text.phones import Phone
from kouxing.types import Float

CLOSE_S = 1.0
"""A worker that has nothing to do ends at once."""
MISSING = "espeak-ng is not installed; run: pip install 'kouxing[text]'"
COMMAND = (sys.executable, str(Path(__file__).with_name("espeak.py")))
"""By path: the worker needs nothing of the package, not even that it is installed."""


class NoVoiceError(OptionError):
    """espeak-ng has no voice of that name."""


class DiedError(OptionError):
    """The worker process is gone; another one may be started."""


@dataclass(frozen=True)
class Voice:
    """Who speaks.

    Attributes:
        name: espeak-ng's language, with a variant behind ``+`` if wanted, e.g. ``en-us``, ``de+f3``, ``cmn+m4``.
        rate: words per minute, 80..450.
        pitch: 0..100.
        lively: pitch range, 0..100.
    """

    name: str = "en-us"
    rate: int = 165
    pitch: int = 50
    lively: int = 50


@dataclass(frozen=True)
class Spoken:
    """Speech made from text.

    Attributes:
        samples: ``[N] float32``, -1..1; none where they were not wanted.
        rate_hz: samples per second (espeak-ng's own, 22,050).
        phones: IPA with times, in order; pauses have an empty symbol.
        words: of each word the character of the text that it begins with, and its first phone. Words that espeak-ng
            says as one (of the) count as one.
    """

    samples: Float
    rate_hz: int
    phones: tuple[Phone, ...]
    words: tuple[tuple[int, int], ...] = ()


class Speaker:
    """The worker process; a context manager.

    Raises:
        OptionError: espeak-ng is not installed; DiedError: its worker died.
    """

    def __init__(self) -> None:
        # stderr is let through: what the library complains about is the user's to see.
        # Ctrl-C in a terminal reaches the whole group; this process ends with its input.
        self._process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        hello = self._answer()
        if "error" in hello:
            self.close()
            raise OptionError(f"{MISSING} ({hello['error']})")

    def __enter__(self) -> Speaker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # Whoever is stopped does not wait for a long text to be read out.
            self.kill()
        self.close()

    def close(self) -> None:
        """End the worker."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(timeout=CLOSE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def kill(self) -> None:
        """End the worker at once, whatever it does; another thread's ``speak`` raises then."""
        self._process.kill()

    def speak(self, text: str, voice: Voice = Voice(), *, sound: bool = True) -> Spoken:
        """Say ``text``.

        Args:
            text: what. voice: who.
            sound: give the samples, too; without them a long text takes a hundredth of the memory.

        Raises:
            NoVoiceError: no such voice. DiedError: the worker died. Both are OptionErrors.
        """
        request = {
            "text": text,
            "voice": voice.name,
            "rate": voice.rate,
            "pitch": voice.pitch,
            "range": voice.lively,
            "sound": sound,
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise DiedError("espeak-ng's worker process died; the text may be at fault") from None
        told = self._answer()
        if "error" in told:
            kind = NoVoiceError if "no voice" in told["error"] else OptionError
            raise kind(f"text to speech, voice {voice.name!r}: {told['error']}")
        raw = self._process.stdout.read(told["bytes"])
        if len(raw) < told["bytes"]:
            raise DiedError("espeak-ng's worker process died; the text may be at fault")
        samples = np.frombuffer(raw, "<i2").astype(np.float32) / 32768
        phones = tuple(Phone(*one) for one in told["phones"])
        return Spoken(samples, told["rate_hz"], phones, tuple((at, place) for at, place in told["words"]))

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise DiedError("espeak-ng's worker process died; the text may be at fault")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise DiedError("espeak-ng's worker process died; the text may be at fault") from error
        return answer
