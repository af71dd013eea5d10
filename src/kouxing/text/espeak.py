"""Worker process around the espeak-ng library: started as a script, used by ``text.speak`` only.

The library is GPL-3.0: it stays an optional extra, in a process of its own. Requests are JSON lines on stdin; each
answer is one JSON line and then the samples it announces, little-endian int16.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from importlib import import_module
from typing import Any, BinaryIO

SYNCHRONOUS = 2
"""Samples are handed over while ``espeak_Synth`` runs; the library's other way waits for its own thread in steps of
20 ms, ten times what a sentence takes."""
PHONEME_EVENTS, PHONEME_IPA = 1, 2
EVENT_END, EVENT_WORD, EVENT_PHONEME = 0, 1, 7
RATE, PITCH, RANGE = 1, 3, 4
UTF8 = 1
PAUSE_PHONES = ("_", "_:", "")


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


class _Voice(ctypes.Structure):
    """What a voice is looked for by (``espeak_VOICE``)."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak:
    """The library in this process; one at a time, as it keeps global state.

    Raises:
        ImportError: the optional package is not installed.
        OSError: the library cannot be loaded.
    """

    def __init__(self) -> None:
        loader = import_module("espeakng_loader")
        self._library = ctypes.CDLL(loader.get_library_path())
        path = loader.get_data_path().encode()
        self.rate_hz = self._library.espeak_Initialize(SYNCHRONOUS, 0, path, PHONEME_EVENTS | PHONEME_IPA)
        if self.rate_hz <= 0:
            raise OSError("espeak-ng could not be initialised")
        self._callback = _CALLBACK(self._take)
        self._library.espeak_SetSynthCallback(self._callback)
        self._samples, self._count, self._wanted = bytearray(), 0, True
        self._marks: list[tuple[str, int]] = []
        self._words: list[tuple[int, int]] = []

    def _take(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._count += count
            if self._wanted:
                self._samples += ctypes.string_at(samples, 2 * count)
        place = 0
        while events[place].type != EVENT_END:
            event = events[place]
            if event.type == EVENT_WORD:
                # Counted in characters from 1.
                self._words.append((event.text_position - 1, len(self._marks)))
            if event.type == EVENT_PHONEME:
                # 8 bytes without a closing zero: a longer symbol is cut, perhaps inside a letter.
                raw = ctypes.string_at(ctypes.addressof(event.id), 8).split(b"\0", 1)[0]
                self._marks.append((raw.decode("utf-8", "ignore"), event.audio_position))
            place += 1
        return 0

    def speak(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Answer one request ``{text, voice, rate, pitch, range}`` (words per minute, 0..100, 0..100).

        With ``sound`` false no samples come along.
        """
        self._samples, self._marks, self._words = bytearray(), [], []
        self._count, self._wanted = 0, bool(request.get("sound", True))
        voice = str(request["voice"]).encode()
        # Some languages (fr-fr, en-gb) are no voice's name, but what a voice says of itself.
        wanted = _Voice(languages=voice)
        if (
            self._library.espeak_SetVoiceByName(voice) != 0
            and self._library.espeak_SetVoiceByProperties(ctypes.byref(wanted)) != 0
        ):
            return {"error": f"espeak-ng has no voice {request['voice']!r}"}, b""
        for number, name in ((RATE, "rate"), (PITCH, "pitch"), (RANGE, "range")):
            self._library.espeak_SetParameter(number, int(request[name]), 0)
        text = str(request["text"]).encode()
        done = self._library.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None)
        self._library.espeak_Synchronize()
        if done != 0:
            return {"error": f"espeak-ng answered {done}"}, b""
        length_ms = self._count / self.rate_hz * 1000
        ends = [position for _, position in self._marks[1:]] + [length_ms]
        phones = [
            ("" if symbol in PAUSE_PHONES else symbol, start / 1000, end / 1000)
            for (symbol, start), end in zip(self._marks, ends, strict=True)
        ]
        told = {"rate_hz": self.rate_hz, "bytes": len(self._samples), "phones": phones, "words": self._words}
        return told, bytes(self._samples)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the requests end; the first line says whether the library is there."""
    try:
        espeak = Espeak()
    except (ImportError, OSError) as error:
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        answers.flush()
        return
    answers.write(json.dumps({"rate_hz": espeak.rate_hz}).encode() + b"\n")
    answers.flush()
    for line in requests:
        told, samples = espeak.speak(json.loads(line))
        try:
            answers.write(json.dumps(told).encode() + b"\n" + samples)
            answers.flush()
        except BrokenPipeError:
            # Nobody waits for it any more. What is left in the buffer must not be written at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
