"""Names of the animation channels. Everything that reads or writes coefficients goes by name, never by place.

Order: Apple's group order as Unreal's enum and Azure have it. Live Link Face's files swap two pairs; see
``export.livelink``.
"""

from __future__ import annotations

_EYE = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")


def _sides(*stems: str) -> tuple[str, ...]:
    return tuple(stem + side for stem in stems for side in ("Left", "Right"))


COEFFICIENTS: tuple[str, ...] = (
    *(stem + "Left" for stem in _EYE),
    *(stem + "Right" for stem in _EYE),
    *("jawForward", "jawLeft", "jawRight", "jawOpen"),
    *("mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight"),
    *_sides("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *_sides("mouthPress", "mouthLowerDown", "mouthUpperUp"),
    *_sides("browDown"),
    "browInnerUp",
    *_sides("browOuterUp"),
    "cheekPuff",
    *_sides("cheekSquint", "noseSneer"),
    "tongueOut",
)
"""The 52 of ARKit."""

ROTATIONS = (
    "headYaw", "headPitch", "headRoll",
    "leftEyeYaw", "leftEyePitch", "leftEyeRoll",
    "rightEyeYaw", "rightEyePitch", "rightEyeRoll",
)  # fmt: skip
"""Angles beside the coefficients, in radians."""

EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
"""What ``expression`` can be asked for, in the order of its input."""

PLACE: dict[str, int] = {name: place for place, name in enumerate(COEFFICIENTS)}
"""Name -> column of ``types.CoefficientTrack.values``."""

MEDIAPIPE: tuple[str, ...] = tuple(sorted(set(COEFFICIENTS) - {"tongueOut"}))
"""MediaPipe's 51 in its own (alphabetical) order, after its ``_neutral``: it has no tongue."""

FROM_MEDIAPIPE: tuple[int, ...] = tuple(PLACE[name] for name in MEDIAPIPE)
"""``values[:, FROM_MEDIAPIPE] = blendshapes`` brings MediaPipe's 51 columns to their places."""

MOUTH: tuple[str, ...] = tuple(name for name in COEFFICIENTS if name.startswith(("jaw", "mouth")))
"""The channels that speech moves most."""


def pascal(name: str) -> str:
    """``jawOpen`` -> ``JawOpen``, as Live Link Face and VRM's "perfect sync" write it."""
    return name[0].upper() + name[1:]


def mirrored(name: str) -> str:
    """The same channel of the face's other side; the name itself where there is none."""
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name[: -len(side)] + other
    return name


if len(COEFFICIENTS) != 52:
    raise AssertionError(f"{len(COEFFICIENTS)} coefficients")
