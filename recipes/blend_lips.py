"""Between what a training of ``lips`` began with and what it came to: a mean of both networks' numbers.

    python recipes/blend_lips.py RUN --start WEIGHTS --share 0.65 --preset fast --data DATA --out OUT

What is trained on by itself gains what it was trained for and loses a little of the rest; the mean keeps most of both
(Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). Choose the share by ``val``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from kouxing.audio.painter_ear import NAMES as EARS
from kouxing.models.lips import PRESETS, Lips
from kouxing.train import restore
from kouxing.train.card import inherited
from kouxing.train.lips import save, with_phones
from kouxing.train.loop import BEST, CHECKPOINT, write_aside
from kouxing.weights import card

AVERAGE = "average/"


def blended(trained: dict[str, Tensor], start: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """``share`` of the first and the rest of the second; what is no floating-point number is the first's."""
    return {
        name: share * value + (1 - share) * start[name] if value.is_floating_point() else value
        for name, value in trained.items()
    }


def main() -> None:
    """Write ONNX files and cards."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder of `kouxing train lips`")
    parser.add_argument("--start", type=Path, required=True, help="folder of the weights that it began with")
    parser.add_argument("--share", type=float, default=0.65, help="of the run, 0..1")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="fast")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if not 0 <= options.share <= 1:
        parser.error(f"--share {options.share}: give 0 to 1")
    model = Lips(PRESETS[options.preset])
    kept = load_file(options.run / CHECKPOINT)
    trained = {name.removeprefix(AVERAGE): value for name, value in kept.items() if name.startswith(AVERAGE)}
    before = restore.lips(options.preset, options.start)[0].state_dict()
    start = dict(with_phones(before, model.dimensions))
    model.load_state_dict(blended(trained, start, options.share))
    # As a run leaves its best weights, for `train lips --start`; nobody has judged these yet.
    write_aside(options.out / BEST, model.state_dict(), {})
    sources = [
        *(source for name in EARS for source in card(name)["data"]),
        *card(f"lips_{options.preset}_frame", options.start)["data"],
        *inherited(options.run),
    ]
    save(model.eval(), options.preset, options.data, options.out, (), sources)


if __name__ == "__main__":
    main()
