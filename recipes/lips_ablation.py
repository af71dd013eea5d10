"""What each loss of `lips` brings: every row trained alike from the same weights, one term of the table switched off.

    python recipes/lips_ablation.py DATA --start runs/lips-fast/best.safetensors --judge runs/sync
        --lipreader runs/lipreader --out runs/lips-ablation [--steps 200] [--rows whole,no-gan]

Prints a table of `val`: L1, sharpness against the real, error and correlation of the read opening; ``--figures
lips_ablation`` keeps it for the documents. One core: about a second a step; the same command goes on where it was
stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from kouxing.eval import figures
from kouxing.train import lips
from kouxing.train.loop import best_figures

SWITCHED = (
    "gan",
    "sync",
    "lipread",
    "lipread_features",
    "perceptual",
    "texture",
    "gradient",
    "landmarks",
    "warp",
    "indecision",
)
MEASURES = ("l1", "sharpness", "gap_error_px", "gap_r")
TABLE = {"gan": 0.2, "sync": 0.25, "landmarks": 1.5, "perceptual": 2.5}
"""Rows of the loss table with which the shipped network was trained last."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    for name in ("start", "judge", "lipreader", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rows", default=",".join(("whole", *(f"no-{name}" for name in SWITCHED))))
    parser.add_argument("--figures")
    options = parser.parse_args()
    kept: dict[str, float] = {}
    torch.set_num_threads(1)
    # One validation, at the end: rows are compared after equal steps, not each at its best.
    schedule = replace(
        lips.PRESETS["fast"], steps=options.steps, rate=4e-4, warmup=20, validate_every=options.steps, ema=0.98
    )
    print("| row | " + " | ".join(MEASURES) + " |\n|---|" + "--:|" * len(MEASURES), flush=True)
    for row in options.rows.split(","):
        off = row.removeprefix("no-")
        lips.main(
            options.data,
            options.out / row,
            start=options.start,
            judge=options.judge,
            lipreader=options.lipreader,
            weights=TABLE if row == "whole" else {**TABLE, off: 0.0},
            gan_from=0.0,
            schedule=schedule,
            report=lambda line: None,
        )
        told = best_figures(options.out / row)
        kept |= {f"{row.replace('-', '_')}_{name}": told[f"val/{name}"] for name in MEASURES}
        if options.figures:
            figures.write(options.figures, f"python recipes/lips_ablation.py DATA --steps {options.steps}", kept)
        print(f"| {row} | " + " | ".join(f"{told[f'val/{name}']:.3f}" for name in MEASURES) + " |", flush=True)


if __name__ == "__main__":
    main()
