"""Cut the ``front`` weights out of a public speech recogniser: Moonshine tiny (MIT), as its npm package holds it.

    npm pack @moonshine-ai/moonshine-js@0.1.29 && tar xzf moonshine-ai-moonshine-js-0.1.29.tgz
    python recipes/front.py package/dist/model/tiny/quantized/encoder_model.onnx --data DATA --out runs/front_whole

The first three of its six layers: what lies behind hears words rather than mouths (docs/log.md). Mean and spread of
what they tell of the training footage are taken off, so that 0 is what nothing in particular sounds like.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kouxing import weights
from kouxing.audio.front import FIELD, NAME, STEP, WIDTH, Front
from kouxing.data.manifest import read_manifest
from kouxing.eval.figures import commit
from kouxing.media.reader import load_sound
from kouxing.units import SAMPLE_HZ

LAYERS = 3
END = f"/layers.{LAYERS - 1}/Add_1_output_0"
SHA256 = "c6fc4b7bc5af75c0591fd157a1f3829b533d18e9769a888fd95a62e470dd4f4a"
"""Of the file that what ships was cut from."""
SOURCE = (
    "Moonshine tiny, English (Useful Sensors, Inc.), its first three layers; npm's @moonshine-ai/moonshine-js 0.1.29"
)
EVERY = 5
"""One clip of so many tells mean and spread."""


def cut(encoder: Path, folder: Path) -> onnx.ModelProto:
    """The graph from samples to the last layer's output."""
    path = folder / "cut.onnx"
    onnx.utils.extract_model(str(encoder), str(path), ["input_values"], [END])
    model = onnx.load(path)
    path.unlink()
    model.graph.input[0].name = "samples"
    for node in model.graph.node:
        node.input[:] = ["samples" if name == "input_values" else name for name in node.input]
    return model


def normalised(model: onnx.ModelProto, mean: np.ndarray, spread: np.ndarray) -> bytes:
    """The graph with what it tells at mean 0 and spread 1."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    graph = whole.graph
    graph.initializer.append(numpy_helper.from_array(mean.astype(np.float32), "front.mean"))
    graph.initializer.append(numpy_helper.from_array((1 / spread).astype(np.float32), "front.scale"))
    graph.node.append(helper.make_node("Sub", [END, "front.mean"], ["front.centred"]))
    graph.node.append(helper.make_node("Mul", ["front.centred", "front.scale"], ["heard"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("heard", TensorProto.FLOAT, [1, "frames", WIDTH]))
    onnx.checker.check_model(whole)
    return bytes(whole.SerializeToString())


def main() -> None:
    parser = argparse.ArgumentParser(description="Cut the front out of a public speech recogniser.")
    parser.add_argument("encoder", type=Path, help="encoder_model.onnx")
    parser.add_argument("--data", type=Path, required=True, help="data folder; its train clips tell mean and spread")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    told = parser.parse_args()
    if hashlib.sha256(told.encoder.read_bytes()).hexdigest() != SHA256:
        print(f"{told.encoder}: not the file that the shipped front was cut from")
    told.out.mkdir(parents=True, exist_ok=True)
    model = cut(told.encoder, told.out)
    licence = (told.encoder.parents[4] / "LICENSE").read_text(encoding="utf-8")
    about = {
        "units": {
            "samples": "[1, N] float32, -1..1, 16 kHz",
            "heard": f"[1, n, {WIDTH}], one row every {STEP} samples, about mean 0 and spread 1",
        },
        "recipe": "python recipes/front.py encoder_model.onnx --data DATA --out runs/front_whole",
        "commit": commit(),
        "data": [{"source": SOURCE, "licence": "MIT"}],
        "licence": "MIT",
        "figures": {},
        "dimensions": {"width": WIDTH, "step": STEP, "field": FIELD, "layers": LAYERS},
        # The licence asks for its text in every copy.
        "notice": "MIT License" + licence.split("MIT License")[1].split("SECTION 2")[0].rstrip(),
    }
    weights.save(NAME, normalised(model, np.zeros(WIDTH), np.ones(WIDTH)), about, told.out)
    front = Front(folder=told.out)
    heard = []
    for clip in read_manifest(told.data, "train")[::EVERY]:
        path = told.data / "clips" / f"{clip.id}.mp4"
        heard.append(front.hear(load_sound(path, SAMPLE_HZ).samples))
    rows = np.concatenate(heard)
    weights.save(NAME, normalised(model, rows.mean(0), rows.std(0) + 0.05), about, told.out)
    print(told.out / f"{NAME}.onnx")


if __name__ == "__main__":
    main()
