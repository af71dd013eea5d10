"""The pieces that a dub is built of, so that other trackers, encoders or networks can be put in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kouxing import weights
from kouxing.audio import encoder
from kouxing.face.paste import paste
from kouxing.face.track import FaceTracker
from kouxing.infer.lips import LipsNetwork
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


def shipped(person: Person | None = None) -> Parts:
    """The pieces that come with the package; the network with a person's numbers where one is given."""

    def identity(preset: str) -> dict[str, Any]:
        told = {name: weights.card(name)["sha256"] for name in weight_names(preset)}
        return told | ({"person": person.sha256} if person else {})

    return Parts(
        tracker=FaceTracker,
        speech=lambda: Touching(encoder.SpeechEncoder(threads=1).stream()),
        # Several frames are painted at the same time, so each may keep to one core.
        lips=lambda preset: LipsNetwork(preset, threads=1, person=person),
        paste=paste,
        identity=identity,
    )


def weight_names(preset: str) -> tuple[str, ...]:
    """The weights that a dub is painted with."""
    return encoder.NAME, f"lips_{preset}_references", f"lips_{preset}_frame"
