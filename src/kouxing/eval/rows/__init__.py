"""Which figures there are: one file a product, each key with what it says and its goal."""

from __future__ import annotations

from kouxing.eval.rows import animate, dub, lips, live, multimodal, sync
from kouxing.eval.rows.row import Row

LABELS: dict[str, dict[str, Row]] = {
    "dub": dub.ROWS,
    "animate": animate.ROWS,
    "sync": sync.ROWS,
    "live": live.ROWS,
    "multimodal": multimodal.ROWS,
    "lips": lips.ROWS,
}
"""File name -> key -> table line, in the order of the table."""
