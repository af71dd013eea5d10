"""What each part of `mouth` and `expression` brings: every row trained alike from nothing, one part left out.

    python recipes/ablate.py DATA --speech runs/speech [--out runs/ablate] [--steps 300] [--seeds 1] [--no-write]

Prints figures of `val` and writes them into docs/figures/ablation.json: aperture correlation and closure F1, means over
seeds. One core: half an hour a seed; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kouxing.eval import figures
from kouxing.eval.rows.grids import ABLATION_COLUMNS
from kouxing.models.mouth import MouthDimensions
from kouxing.train import expression, mouth
from kouxing.train.loop import Schedule, best_figures

MEASURES = tuple(ABLATION_COLUMNS)

Train = Callable[[Path, Schedule], object]


def rows(data: Path, speech: Path) -> dict[str, Train]:
    """Row -> what trains it in a folder."""

    def of_mouth(size: MouthDimensions | None = None, masking: bool = True, phones: bool = True) -> Train:
        def run(out: Path, schedule: Schedule) -> object:
            # Unmasked samples are twice as long: half as many, so that every row learns from as many frames.
            short = schedule if masking else replace(schedule, batch=schedule.batch // 2)
            return mouth.main(
                data, out, dimensions=size, masking=masking, phones=phones, speech=speech, schedule=short, report=quiet
            )

        return run

    def of_expression(closure: bool) -> Train:
        def run(out: Path, schedule: Schedule) -> object:
            return expression.main(data, out, speech=speech, closure=closure, schedule=schedule, report=quiet)

        return run

    return {
        "mouth": of_mouth(),
        "mouth_no_masking": of_mouth(masking=False),
        "mouth_no_attention": of_mouth(MouthDimensions(attends=False)),
        "mouth_no_similarity": of_mouth(MouthDimensions(compares=False)),
        "mouth_no_phones": of_mouth(phones=False),
        "expression": of_expression(closure=True),
        "expression_no_closure": of_expression(closure=False),
    }


def quiet(line: str) -> None:
    """Training's progress, which nobody asked for."""


def table(found: Mapping[str, Iterable[Mapping[str, float]]]) -> dict[str, float]:
    """Means over seeds, by ``ROW_MEASURE``."""
    return {
        f"{row}_{name}": float(np.mean([one[f"val/{name}"] for one in runs]))
        for row, runs in found.items()
        for name in MEASURES
        if all(f"val/{name}" in one for one in runs)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--speech", type=Path, required=True, help="run folder of `kouxing train speech` or `ears`")
    parser.add_argument("--out", type=Path, default=Path("runs/ablate"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    presets = {"mouth": mouth.PRESETS["mouth"], "expression": expression.PRESETS["expression"]}
    trained = rows(options.data, options.speech)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.seeds):
        for row, train in trained.items():
            folder = options.out / f"{row}-{seed}"
            # One validation, at the end: rows are compared after equal steps, not each at its best.
            changes = {"steps": options.steps, "validate_every": options.steps, "warmup": options.steps // 10}
            train(folder, replace(presets[row.split("_")[0]], seed=seed, **changes))
            told = best_figures(folder)
            found.setdefault(row, []).append(told)
            shown = "  ".join(f"{name} {told.get(f'val/{name}', np.nan):.3f}" for name in MEASURES)
            print(row, seed, shown, flush=True)
    if not options.no_write:
        notes = (
            f"`val`, {options.steps} steps a row, "
            f"{'one seed' if options.seeds == 1 else f'mean of {options.seeds} seeds'}; "
            "seven wild clips and one capture decide nothing by 0.05; each network alone, nothing rests in silence."
        )
        command = f"python recipes/ablate.py DATA --speech RUN --steps {options.steps} --seeds {options.seeds}"
        figures.write("ablation", command, table(found), notes)


if __name__ == "__main__":
    main()
