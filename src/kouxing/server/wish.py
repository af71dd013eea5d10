"""What a terminal wants its session to be."""

from __future__ import annotations

from dataclasses import dataclass, field

from kouxing.server.faces import Manner


@dataclass(frozen=True)
class Wish:
    """What a session is to be.

    Attributes:
        method: one of ``server.hello.METHODS``.
        manner: how to speak.
        language: of ``say``.
    """

    method: str = "mouth"
    manner: Manner = field(default_factory=Manner)
    language: str = "en-us"
