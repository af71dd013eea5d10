"""Datagrams of motion capture -> frames: Live Link Face, iFacialMocap (and Facemotion3D), VMC.

A decoder never keeps anything of a datagram that it refuses, and refuses with ``ValueError`` only.
"""

from __future__ import annotations

import math
import re
from typing import Protocol

import numpy as np

from kouxing.arkit import COEFFICIENTS, PLACE, ROTATIONS
from kouxing.export import livelink, osc, vmc
from kouxing.server.mocap_frames import BODY_FRESH_S, MOST_TURN, NO_BODY, Body, Frame, shortest
from kouxing.text.visemes import OCULUS, VRM
from kouxing.types import Bool, Float

_LOWER = {name.lower(): place for name, place in PLACE.items()}
MOST_TEXT = 8192
"""Bytes of an iFacialMocap datagram; real ones have about a thousand."""
MOST_NAMES = 256
"""Blend shapes of one VMC frame."""
SILENT_S = 2.0
"""A subject that was silent for so long gives its place to another."""


class Foreign(ValueError):
    """A good datagram of somebody else than the one who is listened to."""


class Decoder(Protocol):
    """Takes datagrams, gives frames."""

    def take(self, content: bytes, now_s: float) -> Frame | None:
        """The frame that a datagram completes, or None; raises ValueError where it is refused."""
        ...

    def body(self, now_s: float) -> Body:
        """Bones that are fresh."""
        ...


class LiveLink:
    """Live Link Face's packets (version 6). The first subject is listened to, others are foreign until it is silent.

    Args:
        subject: listen to this one only.
    """

    def __init__(self, subject: str | None = None) -> None:
        self._wanted = subject
        self._held: tuple[str, str] | None = None
        self._heard_s = -math.inf

    def take(self, content: bytes, now_s: float) -> Frame | None:
        packet = livelink.decode(content)
        who = (packet.device, packet.subject)
        if self._wanted is not None and packet.subject != self._wanted:
            raise Foreign(packet.subject)
        if self._held not in (None, who) and now_s - self._heard_s < SILENT_S:
            raise Foreign(packet.subject)
        if packet.values is None or packet.rotations is None:
            self._held, self._heard_s = who, now_s
            return None
        frame = Frame(now_s, _within(packet.values), _turns(packet.rotations))
        self._held, self._heard_s = who, now_s
        return frame

    def body(self, now_s: float) -> Body:
        return NO_BODY


_PAIR = re.compile(r"([A-Za-z]\w{0,31})[-&](-?\d{1,4}(?:\.\d{1,12})?)", re.ASCII)
_TURN = re.compile(r"=?(head|rightEye|leftEye)#([-+0-9.eE,]{1,200})", re.ASCII)


class Facial:
    """iFacialMocap's text, both of its versions, and Facemotion3D's, which has the same form."""

    def take(self, content: bytes, now_s: float) -> Frame | None:
        values, known, turns = facial(content)
        return None if values is None else Frame(now_s, values, turns, known)

    def body(self, now_s: float) -> Body:
        return NO_BODY


def facial(content: bytes) -> tuple[Float | None, Bool, Float | None]:
    """Read one datagram ``mouthSmile_R-0|…|=head#x,y,z,px,py,pz|rightEye#x,y,z|leftEye#x,y,z|``.

    Returns:
        ``[52]`` values 0..1 (None where the app says that it sees no face), ``[52]`` which of them were told,
        ``[9]`` radians or None.

    Raises:
        ValueError: no such text.
    """
    if len(content) > MOST_TEXT:
        raise ValueError(f"{len(content)} bytes are no face")
    try:
        parts = content.decode("ascii").split("|")
    except UnicodeDecodeError as error:
        raise ValueError("no text") from error
    values, known = np.zeros(len(COEFFICIENTS), np.float32), np.zeros(len(COEFFICIENTS), bool)
    angles: dict[str, tuple[float, ...]] = {}
    seen = True
    for part in parts:
        pair, turn = _PAIR.fullmatch(part), _TURN.fullmatch(part)
        if pair is not None:
            if pair[1] == "trackingStatus":
                seen = float(pair[2]) != 0
            place = _LOWER.get(_sided(pair[1]).lower())
            if place is not None:
                values[place], known[place] = float(pair[2]) / 100, True
        elif turn is not None:
            angles[turn[1]] = _angles(turn[2])
        elif part not in ("", "=", "___iFacialMocap"):
            raise ValueError(f"{part[:40]!r} is no value")
    if not known.any():
        raise ValueError("no coefficient")
    turns = _facial_turns(angles)
    return (_within(values) if seen else None), known, turns


def _sided(name: str) -> str:
    return name[:-2] + {"_L": "Left", "_R": "Right"}[name[-2:]] if name[-2:] in ("_L", "_R") else name


def _angles(text: str) -> tuple[float, ...]:
    numbers = tuple(float(one) for one in text.split(","))
    if len(numbers) not in (3, 6) or not all(abs(one) <= 3600 for one in numbers):
        raise ValueError("angles that are none")
    return numbers[:3]


def _facial_turns(angles: dict[str, tuple[float, ...]]) -> Float | None:
    """Degrees about x, y, z -> yaw, pitch, roll in radians with Live Link's signs.

    ARKit's own angles, which these apps send, are mirrored there: yaw and roll change sign. The maker's example shows
    it for the eyes, whose look coefficients stand beside their angles.
    """
    if not angles:
        return None
    turns: list[float] = []
    for name in ("head", "leftEye", "rightEye"):
        pitch, yaw, roll = angles.get(name, (0.0, 0.0, 0.0))
        turns += [-math.radians(yaw), math.radians(pitch), -math.radians(roll)]
    return _turns(np.array(turns, np.float32))


_SMILE = {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "cheekSquintLeft": 0.4, "cheekSquintRight": 0.4}
_FROWN = {"mouthFrownLeft": 0.6, "mouthFrownRight": 0.6, "browInnerUp": 0.7}
_GLARE = {"browDownLeft": 0.8, "browDownRight": 0.8, "eyeSquintLeft": 0.3, "eyeSquintRight": 0.3}
_SHUT = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
_UP = {"browInnerUp": 0.8, "browOuterUpLeft": 0.7, "browOuterUpRight": 0.7, "eyeWideLeft": 0.5, "eyeWideRight": 0.5}
_LOOK = {
    way: {f"eyeLook{one}Left": 1.0, f"eyeLook{other}Right": 1.0}
    for way, one, other in (("Up", "Up", "Up"), ("Down", "Down", "Down"), ("Left", "Out", "In"), ("Right", "In", "Out"))
}
VRM_SHAPES: dict[str, dict[str, float]] = {
    **{name: OCULUS[shapes[0]] for name, shapes in VRM.items()},
    "Blink": _SHUT, "Blink_L": {"eyeBlinkLeft": 1.0}, "Blink_R": {"eyeBlinkRight": 1.0},
    "blink": _SHUT, "blinkLeft": {"eyeBlinkLeft": 1.0}, "blinkRight": {"eyeBlinkRight": 1.0},
    "Joy": _SMILE, "Fun": _SMILE, "Sorrow": _FROWN, "Angry": _GLARE, "Surprised": _UP,
    "happy": _SMILE, "relaxed": _SMILE, "sad": _FROWN, "angry": _GLARE, "surprised": _UP,
    **{f"Look{way}": shape for way, shape in _LOOK.items()},
    **{f"LOOK{way.upper()}": shape for way, shape in _LOOK.items()},
    **{f"look{way}": shape for way, shape in _LOOK.items()},
}  # fmt: skip
"""What VRM's own expressions ask of ARKit's coefficients; an approximation, as VRM leaves their look to the avatar."""


class Vmc:
    """VMC's messages, one a datagram or in bundles: a face at each "apply", bones as they come.

    Values hold until they are told again, so that senders may tell only what changed.
    """

    def __init__(self) -> None:
        self._named: dict[str, float] = {}
        self._bones: dict[str, tuple[vmc.Pose, float]] = {}
        self._root: tuple[vmc.Pose, float] | None = None

    def take(self, content: bytes, now_s: float) -> Frame | None:
        frame = None
        bones: dict[str, vmc.Pose] = {}
        root: vmc.Pose | None = None
        changed: dict[str, float] = {}
        for told in osc.decode(content):
            value, bone, stand = vmc.value(told), vmc.bone(told), vmc.root(told)
            if value is not None:
                changed[value[0]] = value[1]
            elif bone is not None:
                bones[bone[0]] = bone[1]
            elif stand is not None:
                root = stand
            elif told.address == vmc.APPLY:
                frame = _vmc_frame(self._named | changed, now_s) or frame
        # Only now, so that a datagram with a fault in it has changed nothing.
        self._named |= changed
        if len(self._named) > MOST_NAMES:
            self._named = changed if len(changed) <= MOST_NAMES else {}
        for name, pose in bones.items():
            self._bones[name] = pose, now_s
        if root is not None:
            self._root = root, now_s
        return frame

    def body(self, now_s: float) -> Body:
        # A copy at once: another thread may add bones meanwhile.
        held, root = dict(self._bones), self._root
        fresh = {name: pose for name, (pose, time_s) in held.items() if now_s - time_s < BODY_FRESH_S}
        return Body(fresh, root[0] if root is not None and now_s - root[1] < BODY_FRESH_S else None)


def _vmc_frame(named: dict[str, float], now_s: float) -> Frame | None:
    """A face of blend shapes by name: ARKit's in any case of letters, else VRM's; None where none of them is known."""
    values, known = np.zeros(len(COEFFICIENTS), np.float32), np.zeros(len(COEFFICIENTS), bool)
    for name, value in named.items():
        place = _LOWER.get(name.lower())
        if place is not None:
            values[place], known[place] = value, True
    if not known.any():
        for name, value in named.items():
            for coefficient, share in VRM_SHAPES.get(name, {}).items():
                place = PLACE[coefficient]
                values[place], known[place] = values[place] + share * min(max(value, 0.0), 1.0), True
    return Frame(now_s, _within(values), None, known) if known.any() else None


def _within(values: Float) -> Float:
    """Values cut to 0..1, which calibrated phones leave a little.

    Raises:
        ValueError: one is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError("a value that is no finite number")
    return np.clip(values, 0, 1).astype(np.float32)


def _turns(angles: Float) -> Float:
    """The same angles within half a turn each way: trackers that count turns tell more, which terminals refuse.

    Raises:
        ValueError: one is not finite, or several turns.
    """
    if angles.shape != (len(ROTATIONS),) or not (np.abs(angles) <= MOST_TURN).all():
        raise ValueError("a rotation that is none")
    return shortest(angles)
