"""A small world for rendered streams: pictures that tell which sound they were made of, and footage made by code."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from kouxing.errors import MediaError
from kouxing.server.render_stream import RenderedStream
from kouxing.units import SAMPLE_HZ, SAMPLES_PER_FRAME

WIDTH, HEIGHT = 64, 48
DARK, BRIGHT = 40, 200


class Lamp:
    """A lamp that is bright while there is sound; its chroma tells the picture's number."""

    width, height = WIDTH, HEIGHT

    def __init__(self, ahead: int, dies_at: int | None, slow_s: float, marks: Path | None) -> None:
        self.ahead = ahead
        self._dies_at, self._slow_s, self._marks = dies_at, slow_s, marks
        self._loud: dict[int, bool] = {}
        self._heard = self._base = 0

    def begin(self, number: int) -> None:
        self._base = number

    def hear(self, block: np.ndarray) -> None:
        self._loud[self._heard] = bool(np.abs(block).max() > 0.05)
        self._heard += 1

    def cut(self, number: int) -> None:
        for place in range(number, self._heard):
            self._loud[place] = False

    def picture(self, number: int) -> bytes:
        time.sleep(self._slow_s)
        due = self._dies_at is not None and number + self._base >= self._dies_at
        if due and self._marks is not None and not self._marks.exists():
            self._marks.touch()
            os._exit(9)
        loud = self._loud[number] and self._loud.get(number + self.ahead) is not None
        luma = bytes([BRIGHT if loud else DARK]) * (WIDTH * HEIGHT)
        return luma + bytes([(number + self._base) % 256]) * (WIDTH * HEIGHT // 2)

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class LampPlan:
    """``dies_at``: the process ends there, the first time (``marks`` remembers)."""

    ahead: int = 2
    dies_at: int | None = None
    slow_s: float = 0.0
    marks: Path | None = None

    def make(self) -> Lamp:
        return Lamp(self.ahead, self.dies_at, self.slow_s, self.marks)


@dataclass(frozen=True)
class BadPlan:
    """Cannot be made."""

    def make(self) -> Lamp:
        raise MediaError("lamp.glb: is broken; give another one")


def tone(seconds: float, level: float = 0.5) -> np.ndarray:
    """``[N] float32`` of a 500 Hz tone."""
    return (level * np.sin(np.arange(int(seconds * SAMPLE_HZ)) * 2 * np.pi * 500 / SAMPLE_HZ)).astype(np.float32)


def blocks(seconds: float) -> np.ndarray:
    """A tone of whole blocks."""
    return tone(round(seconds * SAMPLE_HZ / SAMPLES_PER_FRAME) * SAMPLES_PER_FRAME / SAMPLE_HZ)


async def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        await asyncio.sleep(0.01)


class Watcher:
    """Takes everything a stream gives, as a viewer without a network."""

    def __init__(self, stream: RenderedStream) -> None:
        self.sound: list[Any] = []
        self.pictures: list[Any] = []
        self._tasks = [
            asyncio.ensure_future(self._take(stream.view("audio"), self.sound)),
            asyncio.ensure_future(self._take(stream.view("video"), self.pictures)),
        ]

    @staticmethod
    async def _take(viewing: Any, kept: list[Any]) -> None:
        while (item := await viewing.get()) is not None:
            kept.append(item)

    async def ended(self) -> None:
        await asyncio.wait_for(asyncio.gather(*self._tasks), 10)

    def bright(self) -> list[int]:
        """Numbers of the bright pictures."""
        return [one.number for one in self.pictures if one.planes[0] == BRIGHT]

    def loud(self) -> list[int]:
        """Ticks with sound."""
        return [one.tick for one in self.sound if np.abs(one.samples).max() > 0.05]


class Viewer:
    """A WebRTC peer as a browser is one."""

    def __init__(self, kinds: tuple[str, ...] = ("video", "audio"), microphone: Any = None) -> None:
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.frames: dict[str, list[Any]] = {"video": [], "audio": []}
        self.ended: set[str] = set()
        self._tasks: list[Any] = []
        for kind in kinds:
            if kind == "audio" and microphone is not None:
                self.peer.addTrack(microphone)
            else:
                self.peer.addTransceiver(kind, direction="recvonly")
        self.peer.on("track", lambda track: self._tasks.append(asyncio.ensure_future(self._take(track))))

    async def offer(self) -> str:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def answered(self, sdp: str) -> None:
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def close(self) -> None:
        await self.peer.close()
        for task in self._tasks:
            task.cancel()

    async def _take(self, track: Any) -> None:
        from aiortc.mediastreams import MediaStreamError

        try:
            while True:
                self.frames[track.kind].append(await track.recv())
        except MediaStreamError:
            self.ended.add(track.kind)
