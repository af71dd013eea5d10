"""Devices of motion capture as their makers describe them, made without the program's own encoders."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

import numpy as np

from export.world import UNREAL_ENUM

FACIAL = (
    b"mouthSmile_R-0|eyeLookOut_L-0|mouthUpperUp_L-11|eyeWide_R-0|mouthClose-8|eyeBlink_R-7|eyeBlink_L-100|tongueOut-0|"
    b"jawRight-0|browDown_L-3|mouthLeft-1|jawOpen-12|trackingStatus-1|hapihapi-0|"
    b"=head#-21.488958,-6.038993,-6.6019735,-0.030653415,-0.10287084,-0.6584072|"
    b"rightEye#6.0297494,2.4403017,0.25649446|leftEye#6.034903,-1.6660284,-0.17520553|"
)
"""Shortened from the maker's example."""
MOTION3D = (
    b"eyeBlinkLeft&29|mouthPressRight&14|jawOpen&4|FM_SAD&0|=head#-22.1,0.45,-4.8,-0.03,-0.04,-0.4|rightEye#1,2,3|"
)


def livelink(
    values: list[float] | None, turns: tuple[float, ...] = (0.0,) * 9, subject: str = "iPhone", device: str = "D" * 36
) -> bytes:
    """A packet of Live Link Face, version 6."""
    head = struct.pack(">B", 6)
    for text in (device, subject):
        head += struct.pack(">i", len(text.encode())) + text.encode()
    head += struct.pack(">ifii", 1234, 0.25, 60, 1)
    return head if values is None else head + struct.pack(">B61f", 61, *values, *turns)


def face(**named: float) -> list[float]:
    """52 values in Unreal's order, by Pascal case names."""
    return [named.get(name, 0.0) for name in UNREAL_ENUM]


def vmc(address: str, *values: str | float) -> bytes:
    """One OSC message."""

    def padded(text: str) -> bytes:
        return text.encode() + bytes(4 - len(text.encode()) % 4)

    tags = "," + "".join("s" if isinstance(one, str) else "f" for one in values)
    body = b"".join(padded(one) if isinstance(one, str) else struct.pack(">f", one) for one in values)
    return padded(address) + padded(tags) + body


def until(told: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for another thread; fails loudly when it never comes."""
    end = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


class Wire:
    """A program that sends datagrams to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))

    def send(self, *contents: bytes) -> None:
        for content in contents:
            self._socket.sendto(content, self._to)

    def close(self) -> None:
        self._socket.close()


def any_values(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(52).astype(np.float32)
