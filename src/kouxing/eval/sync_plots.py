"""Pictures of a sync evaluation: whether told chances come true, and what the evidence of a clip looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kouxing.media.aside import make_folder
from kouxing.types import Float


def _start(width: float = 5.5) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, 4))


def _keep(figure: Any, path: Path) -> Path:
    from matplotlib import pyplot

    make_folder(path.parent)
    part = path.with_name(f"{path.stem}.part.png")
    figure.tight_layout()
    figure.savefig(part, dpi=110)
    pyplot.close(figure)
    part.replace(path)
    return path


def reliability(rows: Sequence[Mapping[str, float]], path: Path) -> Path:
    """Told chance against the share that was right (``sync_calibration.reliability``)."""
    figure, chart = _start(4.5)
    chart.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    chart.plot([row["told"] for row in rows], [row["right"] for row in rows], marker="o")
    for row in rows:
        chart.annotate(
            f"{row['count']:.0f}", (row["told"], row["right"]), fontsize=7, xytext=(4, -8), textcoords="offset points"
        )
    chart.set(xlabel="told chance of being within a frame", ylabel="share that was", xlim=(0, 1), ylim=(0, 1))
    return _keep(figure, path)


def lags(curves: Mapping[str, Sequence[Float]], path: Path) -> Path:
    """Evidence per frame at every lag, a thin line per clip and the mean of each part."""
    figure, chart = _start()
    for colour, (part, found) in zip(("tab:blue", "tab:orange"), curves.items(), strict=False):
        steps = np.arange(len(found[0])) - len(found[0]) // 2
        for curve in found:
            chart.plot(steps, curve, color=colour, alpha=0.2, linewidth=0.7)
        chart.plot(steps, np.mean(np.stack(found), 0), color=colour, label=part)
    chart.set(xlabel="lag, frames (sound late: positive)", ylabel="log-odds per frame")
    chart.legend()
    return _keep(figure, path)
