"""Worlds for the exports: tracks, a small GLB made by hand, lossy sockets and clocks that only move when told."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from kouxing.types import CoefficientTrack

UNREAL_ENUM = [
    "EyeBlinkLeft", "EyeLookDownLeft", "EyeLookInLeft", "EyeLookOutLeft", "EyeLookUpLeft",
    "EyeSquintLeft", "EyeWideLeft", "EyeBlinkRight", "EyeLookDownRight", "EyeLookInRight",
    "EyeLookOutRight", "EyeLookUpRight", "EyeSquintRight", "EyeWideRight", "JawForward",
    "JawLeft", "JawRight", "JawOpen", "MouthClose", "MouthFunnel",
    "MouthPucker", "MouthLeft", "MouthRight", "MouthSmileLeft", "MouthSmileRight",
    "MouthFrownLeft", "MouthFrownRight", "MouthDimpleLeft", "MouthDimpleRight", "MouthStretchLeft",
    "MouthStretchRight", "MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper",
    "MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft", "MouthLowerDownRight", "MouthUpperUpLeft",
    "MouthUpperUpRight", "BrowDownLeft", "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft",
    "BrowOuterUpRight", "CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft",
    "NoseSneerRight", "TongueOut",
]  # fmt: skip
"""Typed from Unreal's EARFaceBlendShape, not from the program."""

APP_CSV = [
    {"JawLeft": "JawRight", "JawRight": "JawLeft", "MouthLeft": "MouthRight", "MouthRight": "MouthLeft"}.get(name, name)
    for name in UNREAL_ENUM
]
TURNS = [
    "HeadYaw", "HeadPitch", "HeadRoll",
    "LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll",
    "RightEyeYaw", "RightEyePitch", "RightEyeRoll",
]  # fmt: skip


def any_track(rows: int = 7, turns: bool = True, rate: Fraction = Fraction(60), seed: int = 0) -> CoefficientTrack:
    chance = np.random.default_rng(seed)
    values = chance.random((rows, 52)).astype(np.float32)
    return CoefficientTrack(values, rate, chance.normal(0, 0.2, (rows, 9)).astype(np.float32) if turns else None)


def glb(names: list[list[str]], weights: list[float] | None = None) -> bytes:
    """A triangle a mesh, with morph targets by these names; one node a mesh."""
    corners = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
    meshes = []
    for one in names:
        mesh = {
            "primitives": [{"attributes": {"POSITION": 0}, "targets": [{"POSITION": 0}] * len(one)}],
            "extras": {"targetNames": one},
        }
        if weights is not None:
            mesh["weights"] = weights
        meshes.append(mesh)
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(names)))}],
        "nodes": [{"mesh": number} for number in range(len(names))],
        "meshes": meshes,
        "buffers": [{"byteLength": len(corners)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(corners)}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 3,
                "type": "VEC3",
                "min": [0.0, 0.0, 0.0],
                "max": [1.0, 1.0, 0.0],
            }
        ],
    }
    return glb_of(document, corners)


def glb_of(document: dict, binary: bytes) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


class Clock:
    """Time passes only when somebody sleeps, works or stalls."""

    def __init__(self, oversleep: Callable[[], float] = lambda: 0.0) -> None:
        self.now = 1000.0
        self._oversleep = oversleep

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds + self._oversleep()


class Wire:
    """A connected UDP socket; ``fault`` may raise for a datagram."""

    def __init__(self, clock: Clock | None = None, fault: Callable[[int], None] = lambda number: None) -> None:
        self.taken: list[tuple[float, bytes]] = []
        self.tried = 0
        self.closed = False
        self._clock = clock
        self._fault = fault

    def send(self, data: bytes) -> int:
        self.tried += 1
        self._fault(self.tried)
        self.taken.append((self._clock() if self._clock else 0.0, data))
        return len(data)

    def close(self) -> None:
        self.closed = True
