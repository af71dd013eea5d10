"""Terminals for ``bench_live.py``, in a process of their own: what they measure goes to standard output as JSON.

    python benchmarks/live_terminals.py MODE URL [--sessions N] [--seconds S] [--chunk-ms MS] [--times N]

A terminal sends a real voice at its own pace and notes when each frame of sound was sent and when the row that belongs
to it came, both by this process's clock. Modes: ``talk``, ``interrupt``, ``text``, ``silence``, ``watch``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import struct
import sys
import time
from collections.abc import Callable
from importlib.resources import as_file, files
from itertools import pairwise
from typing import Any

import numpy as np
import websockets

from kouxing.arkit import COEFFICIENTS
from kouxing.face.closure import lip_distance
from kouxing.media.reader import read_sound as read_file
from kouxing.server import protocol
from kouxing.server.protocol import Frame, Kind
from kouxing.units import COEFFICIENT_HZ, SAMPLE_HZ

PAUSE_S = 1.0
MOUTH = [k for k, name in enumerate(COEFFICIENTS) if name.startswith(("mouth", "jaw", "tongue"))]
MOVES = 0.02
"""Lip distance from which a mouth is seen to move: a thirteenth of wide open speech."""
TEXTS = (
    "Hello, how are you today?", "Maybe we should open the other window.", "Please bring me a cup of tea.",
    "My name is Paul.", "Both of them moved to Boston.",
)  # fmt: skip
KILLED = "killed"


def voice() -> protocol.Sound:
    """The bundled voice, with a pause behind it, ``[N] int16``."""
    with as_file(files("kouxing") / "assets" / "demo-voice.flac") as path:
        sound = np.concatenate([np.asarray(part, np.float32) for part in read_file(path, SAMPLE_HZ)])
    room = np.random.default_rng(0).standard_normal(round(PAUSE_S * SAMPLE_HZ)) * 3e-4
    return protocol.to_s16(np.concatenate([sound, room.astype(np.float32)]))


class Terminal:
    """One session.

    Args:
        url: ``ws://…``. hello: beside the version.
    """

    def __init__(self, url: str, **hello: Any) -> None:
        self._url, self._hello = url, hello
        self._sequence = 0
        self._start: tuple[int, int] | None = None
        self.sent: dict[int, float] = {}
        self.chunk = 0
        self.delays: list[float] = []
        self.row_numbers: list[int] = []
        self.arrivals: list[float] = []
        self.values: list[np.ndarray] = []
        self.keep_values = False
        self.events: list[tuple[float, int, dict[str, Any]]] = []
        self.answer: dict[str, Any] = {}
        self._seen: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Terminal:
        self._socket = await websockets.connect(self._url, compression=None, max_queue=None)
        await self._socket.send(json.dumps({"kouxing": 1, **self._hello}))
        self.answer = json.loads(await self._socket.recv())
        if "session" not in self.answer:
            raise SystemExit(f"refused: {self.answer}")
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.event("bye")
        await asyncio.wait([self._reader], timeout=5)
        await self._socket.close()

    async def event(self, event: str, **told: Any) -> float:
        """Send an event; gives the time just before."""
        return await self._send(Kind.EVENT, protocol.event_bytes({"event": event, **told}), 0)

    async def talk(self, sound: protocol.Sound, seconds: float, chunk_ms: int, begin: int = 0) -> None:
        """Send sound, again and again, each frame when a microphone would have filled it."""
        self.chunk = SAMPLE_HZ * chunk_ms // 1000
        began = time.perf_counter()
        for number in range(int(seconds * 1000 / chunk_ms)):
            at = number * self.chunk
            due = began + (at + self.chunk) / SAMPLE_HZ
            while (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            part = np.take(sound, range(begin + at, begin + at + self.chunk), mode="wrap")
            self.sent[number] = await self._send(Kind.SOUND, protocol.sound_bytes(part), at)

    async def until(self, known: Callable[[], bool], timeout_s: float = 20) -> None:
        """Wait until something is known."""
        some = asyncio.Event()
        self._seen = some.set
        deadline = time.perf_counter() + timeout_s
        while not known():
            some.clear()
            await asyncio.wait_for(some.wait(), max(0.01, deadline - time.perf_counter()))

    async def _send(self, kind: Kind, payload: bytes, at: int) -> float:
        self._sequence += 1
        data = protocol.encode(Frame(kind, payload, at, self._sequence))
        now = time.perf_counter()
        await self._socket.send(data)
        return now

    async def _read(self) -> None:
        try:
            async for data in self._socket:
                self._take(data, time.perf_counter())
                self._seen()
        except websockets.ConnectionClosed:
            pass

    def _take(self, data: bytes, now: float) -> None:
        _, kind, _, _, at, _ = protocol.HEADER.unpack_from(data)
        if kind == Kind.EVENT:
            told = json.loads(data[protocol.HEADER.size :])
            self.events.append((now, at, told))
            if told["event"] == "start" and "input" in told:
                self._start = (at, told["input"])
        elif kind == Kind.ROWS:
            (count,) = struct.unpack_from("<H", data, protocol.HEADER.size)
            offsets = struct.unpack_from(f"<{count}I", data, protocol.HEADER.size + 4)
            for offset in offsets:
                self._row(at + offset, now)
            if self.keep_values:
                self.values += list(protocol.read_rows(protocol.decode(data)).values)

    def _row(self, at: int, now: float) -> None:
        self.row_numbers.append(protocol.row_at(at))
        self.arrivals.append(now)
        if self._start is None or at < self._start[0]:
            return
        own = (at - self._start[0] + self._start[1]) // self.chunk if self.chunk else -1
        sent = self.sent.get(own)
        if sent is not None:
            self.delays.append(now - sent)

    @property
    def dropped(self) -> int:
        """Rows that are missing on the session's line, and what the server says that it dropped, sound in rows too."""
        missing = sum(max(0, b - a - 1) for a, b in pairwise(self.row_numbers))
        for _, _, told in self.events:
            if told["event"] == "dropped":
                sound = told["what"] == "sound"
                missing += -(-told["count"] * COEFFICIENT_HZ // SAMPLE_HZ) if sound else told["count"]
        return missing


async def talk(options: argparse.Namespace) -> dict[str, Any]:
    """Many terminals that talk all the time."""
    sound, chance = voice(), random.Random(0)
    terminals = [Terminal(options.url) for _ in range(options.sessions)]
    seconds: list[float] = []

    async def one(terminal: Terminal, wait: float) -> None:
        # Not all in step, as people are not.
        await asyncio.sleep(wait)
        async with terminal:
            begin = time.perf_counter()
            await terminal.talk(sound, options.seconds, options.chunk_ms, chance.randrange(len(sound)))
            await asyncio.sleep(0.4)
            seconds.append(time.perf_counter() - begin)

    await asyncio.gather(*(one(terminal, chance.random()) for terminal in terminals))
    delays = np.concatenate([terminal.delays for terminal in terminals]) * 1000
    rates = [len(one.row_numbers) / spent for one, spent in zip(terminals, seconds, strict=True)]
    stalls = sum(told["event"] == "start" for one in terminals for _, _, told in one.events) - len(terminals)
    return {
        "rows": len(delays), "p50_ms": float(np.percentile(delays, 50)), "p99_ms": float(np.percentile(delays, 99)),
        "max_ms": float(delays.max()), "drops": sum(one.dropped for one in terminals), "stalls": stalls,
        "least_rate_hz": min(rates), "wanted_rows": options.sessions * int(options.seconds * COEFFICIENT_HZ),
    }  # fmt: skip


def shown(terminal: Terminal, anchor: tuple[float, int], place: int) -> float:
    """When row ``place`` is seen: not before it is there, and not before its time, counted from an event's arrival."""
    now, at = anchor
    due = now + (protocol.row_time(terminal.row_numbers[place]) - at) / SAMPLE_HZ
    return max(terminal.arrivals[place], due)


def distances(terminal: Terminal) -> np.ndarray:
    """Lip distance of all rows."""
    return lip_distance(np.stack(terminal.values)) if terminal.values else np.zeros(0, np.float32)


async def interrupt(options: argparse.Namespace) -> dict[str, Any]:
    """From sending ``interrupt`` in open-mouthed speech to the first row at rest being seen."""
    sound = voice()
    spent = [await _interrupted(options.url, sound, number * 7919) for number in range(options.times)]
    return {"median_ms": float(np.median(spent)), "worst_ms": max(spent), "times": len(spent)}


async def _interrupted(url: str, sound: protocol.Sound, begin: int) -> float:
    async with Terminal(url) as terminal:
        terminal.keep_values = True
        task = asyncio.create_task(terminal.talk(sound, 30, 20, begin))
        await terminal.until(lambda: len(terminal.values) > 60 and distances(terminal)[-1] > 5 * MOVES)
        task.cancel()
        asked = await terminal.event("interrupt")
        await terminal.until(lambda: any(told["event"] == "interrupt" for _, _, told in terminal.events))
        when, at, _ = next(one for one in terminal.events if one[2]["event"] == "interrupt")
        first = protocol.row_at(at)

        def rest() -> int | None:
            for place, row in enumerate(terminal.row_numbers):
                if row >= first and terminal.arrivals[place] >= when and not terminal.values[place][MOUTH].any():
                    return place
            return None

        await terminal.until(lambda: rest() is not None)
        return (shown(terminal, (when, at), rest() or 0) - asked) * 1000


async def text(options: argparse.Namespace) -> dict[str, Any]:
    """From sending ``say`` to the first moving lips being seen."""
    spent = [await _spoken(options.url, TEXTS[number % len(TEXTS)]) for number in range(options.times)]
    return {"median_ms": float(np.median(spent)), "worst_ms": max(spent), "times": len(spent)}


async def _spoken(url: str, words: str) -> float:
    async with Terminal(url, output=["coefficients", "sound"]) as terminal:
        terminal.keep_values = True
        await asyncio.sleep(0.3)
        before = len(terminal.values)
        asked = await terminal.event("say", text=words)
        await terminal.until(lambda: (distances(terminal)[before:] > MOVES).any())
        when, at, _ = next(one for one in terminal.events if one[2]["event"] == "start")
        place = before + int(np.flatnonzero(distances(terminal)[before:] > MOVES)[0])
        await terminal.event("interrupt")
        return (shown(terminal, (when, at), place) - asked) * 1000


async def silence(options: argparse.Namespace) -> dict[str, Any]:
    """Largest move of the mouth in a quiet room, from a second after the last word on."""
    sound = voice()[: -round(PAUSE_S * SAMPLE_HZ)]
    room = np.random.default_rng(1).standard_normal(round(options.seconds * SAMPLE_HZ)) * 1e-3
    whole = np.concatenate([sound, protocol.to_s16(room.astype(np.float32))])
    async with Terminal(options.url) as terminal:
        terminal.keep_values = True
        await terminal.talk(whole, len(whole) / SAMPLE_HZ, 20)
        await asyncio.sleep(0.4)
        assert terminal._start is not None
        first = protocol.row_at(terminal._start[0] + len(sound) + SAMPLE_HZ)
        values = np.stack([row for row, k in zip(terminal.values, terminal.row_numbers, strict=True) if k >= first])
        moved = float(np.ptp(values[:, MOUTH], 0).max())
        spoke = float(distances(terminal).max())
    return {"moved": moved, "rows": len(values), "spoke": spoke}


async def watch(options: argparse.Namespace) -> dict[str, Any]:
    """Talk, and tell of gaps around each line on standard input (a worker was killed just before it was written)."""
    loop = asyncio.get_running_loop()
    gaps: list[float] = []
    sound = voice()
    async with Terminal(options.url) as terminal:
        task = asyncio.create_task(terminal.talk(sound, options.seconds, 20))
        await terminal.until(lambda: len(terminal.delays) > 60)
        print("ready", flush=True)
        while (line := await loop.run_in_executor(None, sys.stdin.readline)).strip():
            killed = float(line)
            await asyncio.sleep(3)
            times = [one for one in terminal.arrivals if one < killed][-1:] + [
                one for one in terminal.arrivals if killed <= one < killed + 3
            ]
            gaps.append(max(b - a for a, b in pairwise(times)) * 1000)
            print(json.dumps(gaps[-1]), flush=True)
        task.cancel()
        return {"gaps_ms": gaps, "drops": terminal.dropped}


MODES = {"talk": talk, "interrupt": interrupt, "text": text, "silence": silence, "watch": watch}


def main() -> int:
    """Run one mode."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("url")
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--chunk-ms", type=int, default=10)
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(MODES[options.mode](options))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
