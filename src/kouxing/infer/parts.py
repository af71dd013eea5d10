"""The pieces that a dub is built of, so that other trackers, encoders or networks can be put in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kouxing import weights
from kouxing.audio.front import NAME as FRONT
from kouxing.audio.painter_ear import NAMES, PainterEar
from kouxing.face.paste import paste
from kouxing.face.track import FaceTracker
from kouxing.infer.lips import LipsNetwork
from kouxing.infer.manner import Manner
from kouxing.infer.nearness import Touching
from kouxing.infer.paint import LipsModel, Paste
from kouxing.infer.person import Person
from kouxing.infer.scan import Tracker
from kouxing.infer.speech import FeatureStream


@dataclass(frozen=True)
class Parts:
    """What makes each piece when its turn comes.

    Attributes:
        tracker: number of the face to follow -> tracker.
        speech: -> speech encoder at its beginning.
        lips: preset -> network; loaded before anything is read, so that missing weights are told first.
        paste: puts the painted crop back into the frame.
        identity: preset -> JSON values that change whenever other weights would paint other pixels.
    """

    tracker: Callable[[int], Tracker]
    speech: Callable[[], FeatureStream]
    lips: Callable[[str], LipsModel]
    paste: Paste
    identity: Callable[[str], dict[str, Any]]


def shipped(person: Person | None = None, own_voice: bool = True) -> Parts:
    """The pieces that come with the package; the network with a person's numbers where one is given.

    Args:
        person: whose.
        own_voice: the speech is in the person's voice, so that their manner of speaking is in it.
    """
    manner = person.manner if person and own_voice else None

    def speech() -> FeatureStream:
        stream = PainterEar(threads=1).stream()
        return Touching(stream if manner is None else Manner(stream, manner))

    def identity(preset: str) -> dict[str, Any]:
        told = {name: weights.card(name)["sha256"] for name in weight_names(preset)}
        return told | ({"person": person.sha256, "own_voice": own_voice} if person else {})

    return Parts(
        tracker=FaceTracker,
        speech=speech,
        # Several frames are painted at the same time, so each may keep to one core.
        lips=lambda preset: LipsNetwork(preset, threads=1, person=person),
        paste=paste,
        identity=identity,
    )


def weight_names(preset: str) -> tuple[str, ...]:
    """The weights that a dub is painted with."""
    return FRONT, *NAMES, f"lips_{preset}_references", f"lips_{preset}_frame"
