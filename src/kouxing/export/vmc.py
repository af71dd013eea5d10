"""VMC: blend shapes and bones as OSC messages over UDP, as VSeeFace, Warudo, VNyan, Unity and Blender read them.

One message a datagram: some receivers reject OSC bundles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from kouxing.arkit import COEFFICIENTS, PLACE, pascal
from kouxing.export import osc
from kouxing.export.osc import encode as message
from kouxing.types import Float

VALUE = "/VMC/Ext/Blend/Val"
APPLY = "/VMC/Ext/Blend/Apply"
OK = "/VMC/Ext/OK"
TIME = "/VMC/Ext/T"
BONE = "/VMC/Ext/Bone/Pos"
ROOT = "/VMC/Ext/Root/Pos"

Pose = tuple[float, float, float, float, float, float, float]
"""Position x, y, z in metres and rotation x, y, z, w of a bone in its parent, Unity's axes (y up, left-handed)."""

_FINGERS = tuple(
    f"{finger}{joint}"
    for finger in ("Thumb", "Index", "Middle", "Ring", "Little")
    for joint in ("Proximal", "Intermediate", "Distal")
)
BONES = (
    "Hips", "Spine", "Chest", "UpperChest", "Neck", "Head", "LeftEye", "RightEye", "Jaw",
    *(
        f"{side}{name}"
        for side in ("Left", "Right")
        for name in (
            "UpperLeg", "LowerLeg", "Foot", "Toes", "Shoulder", "UpperArm", "LowerArm", "Hand", *_FINGERS,
        )
    ),
)  # fmt: skip
"""Unity's 55 humanoid bones, fingers included: the only names that are taken in."""
_BONES = frozenset(BONES)
MOST_NAME, MOST_VALUE = 64, 1000.0
"""Of a blend shape that is taken in; values are 0..1, or 0..100 where a sender has it wrong."""


def messages(
    values: Float,
    time_s: float,
    extra: Mapping[str, float] | None = None,
    bones: Mapping[str, Pose] | None = None,
    root: Pose | None = None,
) -> list[bytes]:
    """The messages of one frame: each name's value, then "apply", "ok" and the time.

    Args:
        values: ``[52] float32``, 0..1, as ``arkit.COEFFICIENTS``; sent under "perfect sync" names (``JawOpen``).
        time_s: seconds since the sender began.
        extra: more names and values as they are, such as VRM's ``A`` or ``aa``.
        bones: body and fingers, passed on before the face; root: where the avatar stands.
    """
    named = {pascal(name): float(values[PLACE[name]]) for name in COEFFICIENTS} | dict(extra or {})
    sent = [message(VALUE, name, float(value)) for name, value in named.items()]
    body = [message(BONE, name, *map(float, pose)) for name, pose in (bones or {}).items()]
    if root is not None:
        body.insert(0, message(ROOT, "root", *map(float, root)))
    return [*body, *sent, message(APPLY), message(OK, 1), message(TIME, float(time_s))]


def bone(told: osc.Message) -> tuple[str, Pose] | None:
    """Name and pose of a bone's message; None for other messages and for bones that Unity has not.

    Raises:
        ValueError: values are missing, not finite, or no rotation.
    """
    if told.address != BONE or not told.values or told.values[0] not in _BONES:
        return None
    return str(told.values[0]), _pose(told)


def root(told: osc.Message) -> Pose | None:
    """Where the avatar stands; None for other messages.

    Raises:
        ValueError: values are missing, not finite, or no rotation.
    """
    return _pose(told) if told.address == ROOT else None


def value(told: osc.Message) -> tuple[str, float] | None:
    """Name and value of a blend shape's message; None for other messages.

    Raises:
        ValueError: no such pair, or not finite.
    """
    if told.address != VALUE:
        return None
    if len(told.values) != 2 or not isinstance(told.values[0], str) or len(told.values[0]) > MOST_NAME:
        raise ValueError("a blend shape without a name and a value")
    number = _numbers(told.values[1:])[0]
    if abs(number) > MOST_VALUE:
        raise ValueError("a blend shape of no sensible value")
    return told.values[0], number


def _pose(told: osc.Message) -> Pose:
    # Root messages of version 2.1 go on with a scale and an offset.
    x, y, z, qx, qy, qz, qw = _numbers(told.values[1:8]) if len(told.values) >= 8 else _numbers(())
    length = math.sqrt(qx * qx + qy * qy + qz * qz + qw * qw)
    if not 0.5 < length < 2 or max(abs(x), abs(y), abs(z)) > 1000:
        raise ValueError("no rotation and place of a body")
    return x, y, z, qx / length, qy / length, qz / length, qw / length


def _numbers(values: tuple[osc.Value, ...]) -> tuple[float, ...]:
    numbers = tuple(float(one) for one in values if isinstance(one, (int, float)) and not isinstance(one, bool))
    if not numbers or len(numbers) != len(values) or not all(map(math.isfinite, numbers)):
        raise ValueError("values that are no finite numbers")
    return numbers
