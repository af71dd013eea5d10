"""The plot of an evaluation of the animation models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kouxing.data.animate import Take
from kouxing.eval.animate_findings import GROUPS, WAYS, clip_figures
from kouxing.face.closure import CLOSED_SHARE, TYPICAL_DISTANCE, lip_distance
from kouxing.media.aside import keeping
from kouxing.types import Float
from kouxing.units import FRAME_HZ


def plot(takes: Sequence[Take], made: dict[str, dict[str, Float]], path: Path) -> Path:
    """Real against predicted opening of the median clip of each group."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    groups = [group for group in GROUPS if any(take.group == group for take in takes)]
    figure, axes = pyplot.subplots(len(groups), 1, figsize=(10, 2.4 * len(groups)), squeeze=False)
    for axis, group in zip(axes[:, 0], groups, strict=True):
        own = [take for take in takes if take.group == group]
        scores = [clip_figures(take, made["expression"][take.name]).r for take in own]
        take = own[int(np.argsort(scores)[len(scores) // 2])]
        frames = min(len(take), 8 * FRAME_HZ)
        times = np.arange(frames) / FRAME_HZ
        axis.fill_between(times, 0, np.where(take.found, take.gap, np.nan)[:frames], color="0.85", label="real")
        for way in WAYS:
            opened = np.maximum(lip_distance(made[way][take.name]), 0)[:frames] / TYPICAL_DISTANCE
            axis.plot(times[: len(opened)], opened, label=way, linewidth=1.2)
        axis.axhline(CLOSED_SHARE, color="0.6", linewidth=0.6, linestyle=":")
        axis.set(title=f"{GROUPS[group]}: the clip of median r", ylabel="opening", xlim=(0, times[-1]))
    axes[-1, 0].set_xlabel("seconds")
    axes[0, 0].legend(loc="upper right", fontsize=8)
    figure.tight_layout()
    with keeping(path) as part:
        figure.savefig(part, dpi=110)
    pyplot.close(figure)
    return path
