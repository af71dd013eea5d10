"""Text -> speech with exact phone times, by MBROLA: about 75 voices cut from real speakers (Dutoit et al. 1996).

Optional: Debian's ``mbrola``, ``mbrola-*`` (non-free: no commercial or military use) beside ``espeak-ng``, which says
what is spoken and for how long. ``text.speak`` alone needs none of it, but its voices are made by rule.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from kouxing.errors import OptionError
from kouxing.text.phones import Phone

VOICES = Path("/usr/share/mbrola")
"""Where Debian puts them, ``NAME/NAME``."""
PAUSE = "_"
_LONGEST_S = 20
_SYMBOLS = {"C": "x", "X": "x", "K": "k", "P": "p", "M": "m", "W": "w", "F": "v"}
"""Where voices differ from SAMPA: letters that it lacks."""


@dataclass(frozen=True)
class Sounds:
    """What is to be spoken.

    Attributes:
        lines: MBROLA's own, ``symbol milliseconds [percent hertz]...``.
        phones: the same as SAMPA with times; pauses have an empty symbol.
    """

    lines: tuple[str, ...]
    phones: tuple[Phone, ...]


@lru_cache(maxsize=1)
def voices() -> dict[str, str]:
    """Language by name of each voice that is installed, e.g. ``{"us1": "en-us"}``; empty without the programs."""
    if shutil.which("mbrola") is None or shutil.which("espeak-ng") is None:
        return {}
    listed = _run(["espeak-ng", "--voices=mb"], "").splitlines()[1:]
    found = {}
    for line in listed:
        columns = line.split()
        name = columns[4].removeprefix("mb/mb-")
        # Names such as de1-en are German voices that read English; for cn1 espeak-ng lacks what it needs.
        if "-" not in name and name != "cn1" and (VOICES / name / name).is_file():
            found[name] = columns[1]
    return dict(sorted(found.items()))


def sounds(text: str, voice: str, rate: int = 165, pitch: int = 50) -> Sounds:
    """Phones of ``text`` with their durations and pitch, as espeak-ng reads it for ``voice``.

    Args:
        text: what to say.
        voice: one of ``voices()``.
        rate: words per minute.
        pitch: 0..100.

    Raises:
        OptionError: espeak-ng failed.
    """
    told = _run(["espeak-ng", "-v", f"mb-{voice}", "-q", "--pho", "-s", str(rate), "-p", str(pitch)], text)
    return read_sounds(told)


def read_sounds(told: str) -> Sounds:
    """MBROLA's lines -> phones with times."""
    lines, phones, now = [], [], 0.0
    for line in told.splitlines():
        columns = line.split()
        # espeak-ng mixes its remarks with what it was asked for.
        if not re.match(r"[^\s;]+\s+\d+(\s+[\d.]+)*\s*$", line):
            continue
        lines.append(line)
        end = now + float(columns[1]) / 1000
        phones.append(Phone("" if columns[0] == PAUSE else sampa(columns[0]), now, end))
        now = end
    return Sounds(tuple(lines), tuple(phones))


def sampa(symbol: str) -> str:
    """A voice's symbol in plain SAMPA: variants (``l/2``, ``a1``, ``r=``) and nasal vowels (``am``) lose their mark."""
    symbol = re.sub(r"/.*|[0-9]+$", "", symbol) or symbol
    symbol = re.sub(r"^([aeiou])[mn]$", r"\1", symbol)
    return _SYMBOLS.get(symbol, symbol)


def wave(spoken: Sounds, voice: str, pitch: float = 1.0) -> bytes:
    """Speech as a WAV file's bytes, at the voice's own rate.

    Args:
        spoken: what to say.
        voice: one of ``voices()``.
        pitch: factor on its hertz.

    Raises:
        OptionError: MBROLA failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        command = ["mbrola", "-e", "-f", f"{pitch:.3f}", str(VOICES / voice / voice), "-", str(out)]
        _run(command, "\n".join(spoken.lines) + "\n_ 50\n")
        if not out.exists():
            raise OptionError(f"MBROLA, voice {voice!r}: made no sound; is the package mbrola-{voice} whole?")
        return out.read_bytes()


def _run(command: list[str], given: str) -> str:
    try:
        done = subprocess.run(command, input=given.encode(), capture_output=True, timeout=_LONGEST_S, check=True)
    except FileNotFoundError:
        raise OptionError(f"{command[0]} is not installed; on Debian: apt-get install {command[0]}") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise OptionError(f"{command[0]} failed: {error}") from error
    return done.stdout.decode("utf-8", "replace")
