"""kouxing makes a face say what a voice says.

``kouxing.dub(face, speech, out)`` is what ``kouxing dub`` calls. Functions load on first use, so that importing the
package stays fast.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# ONNX Runtime reports its use to its maker by default, from its import on: nothing here tells anybody anything. Whoever
# wants that can say so before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from kouxing.infer.animate import AnimateReport as AnimateReport
    from kouxing.infer.animate import animate as animate
    from kouxing.infer.avatar import AvatarReport as AvatarReport
    from kouxing.infer.avatar import avatar as avatar
    from kouxing.infer.demo import demo as demo
    from kouxing.infer.dub import dub as dub
    from kouxing.infer.order import DubReport as DubReport
    from kouxing.infer.prepare.run import PrepareReport as PrepareReport
    from kouxing.infer.prepare.run import prepare as prepare
    from kouxing.infer.score import score as score
    from kouxing.infer.score_many import ManyReport as ManyReport
    from kouxing.infer.score_many import score_many as score_many
    from kouxing.infer.score_report import ScoreReport as ScoreReport
    from kouxing.infer.track import TrackReport as TrackReport
    from kouxing.infer.track import track as track
    from kouxing.train.fit import FitReport as FitReport
    from kouxing.train.fit import fit as fit

__version__ = "0.1.0"

_PLACES = {
    "animate": "kouxing.infer.animate",
    "AnimateReport": "kouxing.infer.animate",
    "avatar": "kouxing.infer.avatar",
    "AvatarReport": "kouxing.infer.avatar",
    "demo": "kouxing.infer.demo",
    "dub": "kouxing.infer.dub",
    "DubReport": "kouxing.infer.order",
    "fit": "kouxing.train.fit",
    "FitReport": "kouxing.train.fit",
    "prepare": "kouxing.infer.prepare.run",
    "PrepareReport": "kouxing.infer.prepare.run",
    "score": "kouxing.infer.score",
    "ScoreReport": "kouxing.infer.score_report",
    "score_many": "kouxing.infer.score_many",
    "ManyReport": "kouxing.infer.score_many",
    "track": "kouxing.infer.track",
    "TrackReport": "kouxing.infer.track",
}

__all__ = [
    "AnimateReport",
    "AvatarReport",
    "DubReport",
    "ManyReport",
    "PrepareReport",
    "ScoreReport",
    "TrackReport",
    "__version__",
    "animate",
    "avatar",
    "demo",
    "dub",
    "prepare",
    "score",
    "score_many",
    "track",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'kouxing' has no attribute {name!r}")
    try:
        return getattr(import_module(_PLACES[name]), name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] == "kouxing":
            raise
        # As an attribute that is not there, so that help() and hasattr() get on without it.
        raise AttributeError(
            f"kouxing.{name} needs {error.name}, which comes with pip install 'kouxing[train]'"
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
