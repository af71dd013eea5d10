"""A live server's world for tests: time that is set by hand, a pool without processes, speech, a small client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import websockets

from kouxing.infer.mouth import Mouth
from kouxing.server import protocol
from kouxing.server.faces import Face, Manner
from kouxing.server.protocol import Frame, Kind, Rows, Sound
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ


@lru_cache(maxsize=1)
def mouth() -> Mouth:
    """The shipped model, loaded once."""
    return Mouth(threads=1)


def voice(seconds: float, loud: float = 0.2) -> Sound:
    """Something like speech: a buzz whose loudness and colour change four times a second, ``[N] int16``."""
    time = np.arange(round(seconds * SAMPLE_HZ)) / SAMPLE_HZ
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    swell = 0.55 - 0.45 * np.cos(2 * np.pi * 4 * time)
    noise = np.random.default_rng(0).standard_normal(len(time)) * 0.1
    return protocol.to_s16((loud * swell * (buzz + noise)).astype(np.float32) * 0.5)


class Hands:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class PoolAtHand:
    """The pool's interface, with the network run in this process at once."""

    ready = True
    pids = (1,)
    streams = 0
    told = SimpleNamespace(replaced=0, moved=0)
    look_ahead_ms: ClassVar[dict[str, float]] = {}

    def __init__(self) -> None:
        self.made: list[StreamAtHand] = []

    async def start(self) -> None:
        """There is nothing to start."""

    async def close(self) -> None:
        """There is nothing to end."""

    def open(
        self, method: str, first: int, manner: Manner, rows: Callable[[int, Float, bool], None],
        done: Callable[[], None],
    ) -> StreamAtHand:  # fmt: skip
        """A stream at its beginning."""
        made = StreamAtHand(Face(mouth(), first, manner), rows, done)
        self.made.append(made)
        return made


class StreamAtHand:
    """One stretch of speech."""

    def __init__(self, face: Face, rows: Callable[[int, Float, bool], None], done: Callable[[], None]) -> None:
        self._face, self._rows, self._done = face, rows, done
        self.closed = False

    def push(self, sound: Sound) -> None:
        self._give(self._face.push(protocol.to_float(sound)))

    def finish(self) -> None:
        self._give(self._face.finish())
        self.closed = True
        self._done()

    def close(self) -> None:
        self.closed = True

    def change(self, manner: Manner) -> None:
        self._face.manner = manner

    def _give(self, rows: Rows | None) -> None:
        if rows is not None:
            self._rows(protocol.row_at(int(rows.times[0])), rows.values, rows.rest)


@dataclass
class Client:
    """A terminal: what came, and ways to send."""

    socket: Any
    answer: dict[str, Any]
    sequence: int = 0
    last: int = 0
    events: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    rows: list[Rows] = field(default_factory=list)
    sound: list[tuple[int, Sound]] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)

    @staticmethod
    async def connect(url: str, resume: Client | None = None, **hello: Any) -> Client:
        """Connect and greet."""
        socket = await websockets.connect(url, compression=None)
        wanted = {"kouxing": 1, **hello}
        if resume is not None:
            wanted["resume"] = {"session": resume.answer["session"], "last": resume.last}
        await socket.send(json.dumps(wanted))
        answer = json.loads(await asyncio.wait_for(socket.recv(), 20))
        assert "session" in answer, answer
        client = Client(socket, answer)
        if resume is not None:
            client.sequence, client.last = resume.sequence, resume.last
        return client

    async def send_sound(self, sound: Sound, time: int) -> None:
        """One block."""
        await self._send(Kind.SOUND, protocol.sound_bytes(sound), time)

    async def send_event(self, event: str, **told: Any) -> None:
        """One event."""
        await self._send(Kind.EVENT, protocol.event_bytes({"event": event, **told}), 0)

    async def send_rows(self, rows: Rows) -> None:
        """Captured motion."""
        await self._send(Kind.ROWS, protocol.rows_bytes(rows), int(rows.times[0]))

    async def _send(self, kind: Kind, payload: bytes, time: int) -> None:
        self.sequence += 1
        await self.socket.send(protocol.encode(Frame(kind, payload, time, self.sequence)))

    async def speak(self, sound: Sound, block: int = 320, pace: float = 1.0, start: int = 0) -> None:
        """Send sound in blocks, ``pace`` times as slow as real time."""
        for at in range(0, len(sound), block):
            await self.send_sound(sound[at : at + block], start + at)
            await asyncio.sleep(pace * block / SAMPLE_HZ)

    async def take(self, timeout_s: float = 20) -> Any:
        """The next item; events, rows and sound are kept."""
        frame = protocol.decode(await asyncio.wait_for(self.socket.recv(), timeout_s))
        if frame.sequence:
            self.sequences.append(frame.sequence)
            self.last = frame.sequence
        if frame.kind is Kind.EVENT:
            told = protocol.read_event(frame)
            self.events.append((frame.time, told))
            return told
        if frame.kind is Kind.ROWS:
            self.rows.append(protocol.read_rows(frame))
            return self.rows[-1]
        if frame.kind is Kind.SOUND:
            self.sound.append((frame.time, protocol.read_sound(frame)))
            return self.sound[-1]
        return frame

    async def until(self, event: str, timeout_s: float = 20) -> dict[str, Any]:
        """Take what comes up to an event."""
        async with asyncio.timeout(timeout_s) if hasattr(asyncio, "timeout") else _no_limit():
            while True:
                told = await self.take(timeout_s)
                if isinstance(told, dict) and told["event"] == event:
                    return told

    @property
    def values(self) -> Float:
        """All rows, ``[n, 52]``."""
        return np.concatenate([rows.values for rows in self.rows])

    @property
    def times(self) -> np.ndarray:
        """Their times."""
        return np.concatenate([rows.times for rows in self.rows])


class _no_limit:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


@dataclass(frozen=True)
class Said:
    """What the text to speech of these tests gives."""

    samples: Float
    text: str
    start: int = 0
    phones: tuple[Any, ...] = ()
    rows: Float | None = None
    contact: Float | None = None


async def speak(text: str, language: str = "en-us") -> AsyncIterator[Said]:
    """Each word is half a second of buzzing."""
    for word in text.split():
        await asyncio.sleep(0)
        yield Said(protocol.to_float(voice(0.5)), word)
