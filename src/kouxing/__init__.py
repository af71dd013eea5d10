"""kouxing makes a face say what a voice says.

``kouxing.dub(face, speech, out)`` is what ``kouxing dub`` calls. Functions load on first use, so that importing the
package stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kouxing.infer.demo import demo as demo
    from kouxing.infer.dub import dub as dub
    from kouxing.infer.order import DubReport as DubReport

__version__ = "0.1.0"

_PLACES = {
    "demo": "kouxing.infer.demo",
    "dub": "kouxing.infer.dub",
    "DubReport": "kouxing.infer.order",
}

__all__ = ["DubReport", "__version__", "demo", "dub"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'kouxing' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
