"""Other people's speech for texts: any command that writes a WAV, or an HTTP service that returns one.

A command gets the text on its standard input, or where ``{text}`` stands among its arguments; it writes a WAV to its
standard output, or into the file whose name stands for ``{out}``; and, if it can, viseme times (``text.viseme_times``)
into the file that stands for ``{visemes}``. It is started without a shell, in a process group of its own, once for each
sentence, and ended with everything it started when it takes too long, writes too much, or is no longer wanted.

A service gets ``POST`` with ``{"text": …, "language": …}``, or ``GET`` where ``{text}`` stands in its address. It
answers with a WAV, or with JSON ``{"audio": base64 of a WAV, "visemes": …}``. Only the address that the operator gave
is ever contacted: redirections are refused, proxies are not used.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from kouxing.errors import DataError, MediaError, OptionError
from kouxing.server.deadline import within
from kouxing.server.text import LANGUAGE, Speaking, SpokenPiece, at_16_khz, checked, pieces
from kouxing.server.tts_wav import read_wav
from kouxing.text.viseme_times import of_json, read_visemes
from kouxing.units import SAMPLE_HZ

ANSWER_S = 20.0
"""For one piece, from the request to the last byte."""
END_S = 1.0
"""For a killed program to be gone."""
MOST_BYTES = 32 * 1024 * 1024
"""Of one answer: five minutes at 48 kHz in 16 bits are 29 MB."""
MOST_TOLD = 400
"""Characters of a command's complaint that are passed on."""
FIRST_PIECE = 60
"""Characters of a text's first piece: these speakers may be slow, and the first sound waits for a whole piece."""
AT_ONCE = 2
"""Commands or requests that run at the same time; others wait."""
AUTHORIZATION = "KOUXING_TTS_AUTHORIZATION"
"""Environment variable with the ``Authorization`` header for the service: command lines are seen by others."""

_HOLDER = re.compile(r"\{(text|language|out|visemes)\}")


@dataclass(frozen=True)
class Answer:
    """What a speaker sent for one piece: a WAV, and viseme times as bytes or JSON values (None: none)."""

    wav: bytes
    visemes: Any = None


class Voice(Protocol):
    """Makes one piece."""

    name: str

    async def say(self, piece: str, language: str) -> Answer: ...

    def close(self) -> None: ...


class External:
    """Speaks texts by another program or service; the next piece is made while one is being taken.

    Args:
        voice: who makes the pieces.
        answer_s: how long one piece may take.
    """

    def __init__(self, voice: Voice, answer_s: float = ANSWER_S) -> None:
        self._voice = voice
        self._answer_s = answer_s
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def speak(self, text: str, language: str = LANGUAGE) -> AsyncIterator[SpokenPiece]:
        """See ``server.text.Speaking``."""
        waiting = pieces(checked(text, language), first=FIRST_PIECE)
        start, made = 0, asyncio.ensure_future(self._make(waiting[0], language))
        try:
            for number, piece in enumerate(waiting):
                answer = await made
                if number + 1 < len(waiting):
                    made = asyncio.ensure_future(self._make(waiting[number + 1], language))
                spoken = await asyncio.to_thread(spoken_of, answer, piece, start, self._voice.name)
                yield spoken
                start += len(spoken.samples)
        finally:
            await _over(made)

    async def warm(self) -> None:
        """Nothing to start beforehand."""

    async def close(self) -> None:
        """See ``server.text.Speaking``."""
        self._voice.close()

    async def _make(self, piece: str, language: str) -> Answer:
        async with self._turns:
            try:
                return await within(self._voice.say(piece, language), self._answer_s)
            except TimeoutError:
                raise MediaError(f"--tts {self._voice.name}: no answer within {self._answer_s:g} s") from None


async def _over(task: asyncio.Future[Answer]) -> None:
    """End a task and wait for its end; a failure that nobody waits for any more is looked at, not reported."""
    task.cancel()
    await asyncio.wait([task])
    _ = task.cancelled() or task.exception()


def spoken_of(answer: Answer, piece: str, start: int, where: str) -> SpokenPiece:
    """An answer as speech at 16 kHz, with rows where viseme times came along.

    Raises:
        MediaError: no WAV, or viseme times that are none.
    """
    try:
        clip = read_wav(answer.wav)
        samples = at_16_khz(clip.samples, clip.rate_hz)
        rows = None
        if answer.visemes is not None:
            read = read_visemes if isinstance(answer.visemes, bytes) else of_json
            rows = read(answer.visemes, "visemes").rows(len(samples) / SAMPLE_HZ)
    except (ValueError, DataError) as error:
        raise MediaError(f"--tts {where}: its answer is not speech: {error}") from error
    return SpokenPiece(samples, start, piece, rows=rows)


class Command:
    """A program, started for each piece.

    Args:
        argv: its name and arguments, with ``{text}``, ``{language}``, ``{out}``, ``{visemes}`` where they are wanted.

    Raises:
        OptionError: there is no such program.
    """

    def __init__(self, argv: list[str]) -> None:
        if not argv or shutil.which(argv[0]) is None:
            raise OptionError(f"--tts: no program {(argv or [''])[0]!r} is found; install it or write its whole path")
        self._argv = argv
        self.name = Path(argv[0]).name
        self._named = {found[1] for part in argv for found in _HOLDER.finditer(part)}

    def close(self) -> None:
        """Nothing runs between pieces."""

    async def say(self, piece: str, language: str) -> Answer:
        """See ``Voice``.

        Raises:
            MediaError: it failed, or wrote no or too much sound.
        """
        # A text that begins like an option must not become one.
        told = f" {piece}" if piece.startswith("-") else piece
        with tempfile.TemporaryDirectory(prefix="kouxing-tts-") as folder:
            out, visemes = Path(folder) / "speech.wav", Path(folder) / "visemes.json"
            words = {"text": told, "language": language, "out": str(out), "visemes": str(visemes)}
            argv = [filled(part, words) for part in self._argv]
            wav = await self._run(argv, b"" if "text" in self._named else piece.encode())
            if "out" in self._named:
                wav = _bytes_of(out, self.name)
            return Answer(wav, _bytes_of(visemes, self.name) if visemes.exists() else None)

    async def _run(self, argv: list[str], given: bytes) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise MediaError(f"--tts {self.name}: cannot be started ({error})") from error
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        complaints = asyncio.ensure_future(_tail(process.stderr))
        try:
            with suppress(BrokenPipeError, ConnectionResetError):
                process.stdin.write(given)
                await process.stdin.drain()
            process.stdin.close()
            wav = await _at_most(process.stdout, MOST_BYTES)
            if wav is None:
                raise MediaError(f"--tts {self.name}: wrote more than {MOST_BYTES // 2**20} MB for one piece")
            code = await process.wait()
            if code != 0:
                said = " ".join((await complaints).split())
                raise MediaError(f"--tts {self.name}: ended with {code}{': ' if said else ''}{said}")
            return wav
        finally:
            complaints.cancel()
            _end(process)
            with suppress(TimeoutError):
                await within(process.wait(), END_S)


def filled(part: str, words: Mapping[str, str]) -> str:
    """An argument with its holders filled; what is filled in is not looked at again."""
    return _HOLDER.sub(lambda found: words[found[1]], part)


async def _at_most(stream: asyncio.StreamReader, most: int) -> bytes | None:
    held = bytearray()
    while chunk := await stream.read(1 << 16):
        held += chunk
        if len(held) > most:
            return None
    return bytes(held)


async def _tail(stream: asyncio.StreamReader) -> str:
    held = b""
    while chunk := await stream.read(1 << 12):
        held = (held + chunk)[-MOST_TOLD:]
    return _clean(held.decode("utf-8", "replace"))


def _clean(said: str) -> str:
    """A stranger's words without anything that a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in said)


def _end(process: asyncio.subprocess.Process) -> None:
    """End a command and what it started; what has ended already is no fault."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            # Its group bears its number: it was started as a session of its own.
            os.killpg(process.pid, signal.SIGKILL)
        elif process.returncode is None:
            process.kill()


def _bytes_of(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise MediaError(f"--tts {name}: wrote no {path.name} ({error.strerror})") from error
    if len(content) > MOST_BYTES:
        raise MediaError(f"--tts {name}: wrote more than {MOST_BYTES // 2**20} MB for one piece")
    return content


class Service:
    """An HTTP service, one request a piece.

    Args:
        url: its address; ``{text}`` and ``{language}`` may stand in its path and query.
        authorization: header of that name, or empty.
        answer_s: how long a piece may take.
        clock: seconds, increasing.

    Raises:
        OptionError: no such address.
    """

    def __init__(
        self,
        url: str,
        authorization: str = "",
        answer_s: float = ANSWER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise OptionError(f"--tts {url}: {error}; write http://127.0.0.1:5000/speak") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or _HOLDER.search(parts.netloc):
            raise OptionError(f"--tts {url}: not an address; write http://127.0.0.1:5000/speak")
        if parts.username is not None or parts.fragment:
            raise OptionError(f"--tts: names and passwords do not belong into the address; set {AUTHORIZATION}")
        if not (parts.path + parts.query).isascii() or any(letter in authorization for letter in "\r\n"):
            raise OptionError(f"--tts {url}: signs that cannot be sent; write them as %XX")
        self.name = f"{parts.scheme}://{parts.netloc}"
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._authorization = authorization
        self._answer_s, self._clock = answer_s, clock
        self._threads = ThreadPoolExecutor(AT_ONCE, "tts")

    def close(self) -> None:
        """Requests that run end by their time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def say(self, piece: str, language: str) -> Answer:
        """See ``Voice``.

        Raises:
            MediaError: no connection, another status than 200, or an answer that is too large or none.
        """
        kind: type[http.client.HTTPConnection] = (
            http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        )
        connection = kind(self._host, self._port, timeout=self._answer_s)
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, connection, piece, language)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # The thread waits for bytes: without its connection it ends.
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
            raise

    def _ask(self, connection: http.client.HTTPConnection, piece: str, language: str) -> Answer:
        until = self._clock() + self._answer_s
        headers = {"Accept": "audio/wav, application/json", "User-Agent": "kouxing", "Connection": "close"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        path = filled(self._path, {"text": quote(piece, safe=""), "language": quote(language, safe=""), **_UNUSED})
        try:
            if "{text}" in self._path:
                connection.request("GET", path, headers=headers)
            else:
                body = json.dumps({"text": piece, "language": language}).encode()
                connection.request("POST", path, body, {**headers, "Content-Type": "application/json"})
            reply = connection.getresponse()
            if reply.status != 200:
                moved = "; it may not lead elsewhere" if 300 <= reply.status < 400 else ""
                raise MediaError(f"--tts {self.name}: answered {reply.status} {_clean(reply.reason)[:80]}{moved}")
            content = self._read(connection, reply, until)
            kind = reply.headers.get_content_type()
        except (OSError, http.client.HTTPException) as error:
            raise MediaError(f"--tts {self.name}: {type(error).__name__}: {error}"[:MOST_TOLD]) from error
        finally:
            connection.close()
        return answer_of(content, self.name) if kind == "application/json" else Answer(content)

    def _read(self, connection: http.client.HTTPConnection, reply: http.client.HTTPResponse, until: float) -> bytes:
        """The body; a service that drips bytes has no more time than one that is silent."""
        held = bytearray()
        while True:
            left = until - self._clock()
            if left <= 0:
                raise MediaError(f"--tts {self.name}: no whole answer within {self._answer_s:g} s")
            if connection.sock is not None:
                connection.sock.settimeout(left)
            chunk = reply.read1(1 << 16)
            held += chunk
            if len(held) > MOST_BYTES:
                raise MediaError(f"--tts {self.name}: more than {MOST_BYTES // 2**20} MB for one piece")
            if not chunk:
                return bytes(held)


_UNUSED = {"out": "", "visemes": ""}


def answer_of(content: bytes, where: str) -> Answer:
    """A service's JSON ``{"audio": base64, "visemes": …}``.

    Raises:
        MediaError: it is not that.
    """
    try:
        told = json.loads(content)
        sound = told.get("audio") if isinstance(told, dict) else None
        if not isinstance(sound, str):
            raise ValueError("no text under audio")
        return Answer(base64.b64decode(sound, validate=True), told.get("visemes"))
    except (ValueError, RecursionError, binascii.Error) as error:
        raise MediaError(f"--tts {where}: its JSON holds no speech ({error})"[:MOST_TOLD]) from error


def external(tts: str, environ: Mapping[str, str] | None = None) -> Speaking:
    """A speaker by its address or command line.

    Raises:
        OptionError: no such program, no such address, or a command line with an open quote.
    """
    if tts.strip().lower().startswith(("http://", "https://")):
        env = os.environ if environ is None else environ
        return External(Service(tts.strip(), env.get(AUTHORIZATION, "")))
    try:
        argv = shlex.split(tts)
    except ValueError as error:
        raise OptionError(f"--tts {tts}: {error}; write the command as in a shell") from error
    return External(Command(argv))
