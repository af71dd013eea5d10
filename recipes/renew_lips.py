"""A ``lips`` network of before with the same numbers in today's graph, which may do the same with less work.

    python recipes/renew_lips.py WEIGHTS --preset fast --out OUT

Nothing is learnt and no figure of quality changes, but that files of persons (`kouxing fit`) go with one graph.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kouxing import weights
from kouxing.models.lips import PRESETS
from kouxing.train import restore
from kouxing.train.export import export_lips
from kouxing.train.lips import UNITS

FILLED_IN = ("format_version", "sha256", "dimensions")
"""What a card is given as it is saved."""


def main() -> None:
    """Write ONNX files and cards."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weights", type=Path, help="folder with the ONNX files and their cards")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="fast")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model, _ = restore.lips(options.preset, options.weights)
    card = weights.card(f"lips_{options.preset}_frame", options.weights)
    about = {name: value for name, value in card.items() if name not in FILLED_IN}
    worst = export_lips(model, options.preset, {**about, "units": UNITS}, options.out)
    print(f"{options.out}: written, {worst:.1e} from PyTorch at most")


if __name__ == "__main__":
    main()
