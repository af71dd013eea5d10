"""Pictures of a sync run: how the margin grew, and what the filter found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kouxing.data.sync_filter import Verdict
from kouxing.media.aside import keeping


def _axes(columns: int) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(1, columns, figsize=(5.5 * columns, 4), squeeze=False)


def _keep(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.tight_layout()
    with keeping(path) as part:
        figure.savefig(part, dpi=100, format="png")
    pyplot.close(figure)


def margins(stages: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Margin, and held-out similarity of true and false pairs, over the steps of all stages."""
    figure, axes = _axes(1)
    chart, start = axes[0][0], 0.0
    for name, rows in stages.items():
        if not rows:
            continue
        steps = np.array([row["step"] for row in rows]) + start
        groups = sorted({key.rsplit("_", 1)[1] for key in rows[0] if key.startswith("val/true_")})
        for side, colour in (("true", "tab:blue"), ("false", "tab:red")):
            values = [np.mean([row[f"val/{side}_{group}"] for group in groups]) for row in rows]
            chart.plot(steps, values, color=colour, marker=".", label=f"sim({side})" if start == 0 else None)
        chart.step(
            steps, [row["margin"] for row in rows], where="pre", color="black", label="margin" if start == 0 else None
        )
        chart.axvline(start, color="grey", linewidth=0.5)
        chart.text(start, chart.get_ylim()[1], f" stage {name}", va="top", fontsize=8)
        start = float(steps[-1])
    chart.set(xlabel="step", ylabel="cosine, held-out clips")
    chart.legend(loc="lower right")
    _keep(figure, path)


def verdicts(found: Sequence[Verdict], path: Path) -> None:
    """Histograms of offsets and of chances, kept and dropped clips apart."""
    figure, axes = _axes(2)
    sides = {"kept": [v for v in found if v.kept], "dropped": [v for v in found if not v.kept]}
    told = [[v.offset for v in side if np.isfinite(v.offset)] for side in sides.values()]
    axes[0][0].hist(told, bins=np.arange(-15.5, 16.5), stacked=True, label=list(sides), log=True)
    axes[0][0].set(xlabel="offset, frames (sound late: positive)", ylabel="clips")
    chances = [[v.chance for v in side] for side in sides.values()]
    axes[0][1].hist(chances, bins=np.linspace(0, 1, 41), stacked=True, label=list(sides), log=True)
    axes[0][1].set(xlabel="chance that the sound is the picture's own", ylabel="clips")
    for chart in axes[0]:
        chart.legend()
    _keep(figure, path)
