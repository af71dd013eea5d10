"""Our ``fast`` lips network against a network of Wav2Lip's published shape, both in ONNX Runtime, in one run.

    python benchmarks/bench_net.py [--threads 2] [--rounds 60] [--ours FILE.onnx] [--no-write]

The reference has the layer widths of Prajwal et al. 2020 (face 96x96 with six channels, mel 80x16, 36.3 M parameters)
and random weights: its speed is a matter of shape alone. Needs PyTorch and onnx (``pip install kouxing[train]``).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from kouxing.errors import KouxingError
from kouxing.models.rivals import MEL_SHAPE, WAV2LIP_PX, Wav2Lip

OURS = "lips_fast_frame"


def reference_onnx(path: Path) -> Path:
    """Write the reference network with random weights."""
    torch.manual_seed(0)
    net = Wav2Lip().eval()
    example = (torch.zeros(1, 1, *MEL_SHAPE), torch.zeros(1, 6, WAV2LIP_PX, WAV2LIP_PX))
    # The exporter talks on stdout and warns about itself; neither is the reader's business here.
    with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        torch.onnx.export(net, example, str(path), input_names=["mel", "face"], output_names=["image"], dynamo=False)
    return path


def count_parameters(path: Path) -> int:
    """Elements of all float weights of an ONNX file (integer shape constants do not count)."""
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
    weights = onnx.load(str(path)).graph.initializer
    return sum(int(np.prod(w.dims, dtype=np.int64)) for w in weights if w.data_type in kinds)


def count_macs(path: Path) -> int:
    """Multiply-accumulates of the convolutions and matrix products of one run, batch 1."""
    model = onnx.load(str(path))
    counted = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
    shapes = _shapes(model, {name for node in counted for name in (*node.input[:2], node.output[0])})
    total = 0
    for node in counted:
        taken, weight, made = (shapes[name] for name in (*node.input[:2], node.output[0]))
        if node.op_type == "Conv":
            total += int(np.prod(made) * np.prod(weight[1:]))
        elif node.op_type == "ConvTranspose":
            total += int(np.prod(taken) * np.prod(weight[1:]))
        else:
            turned = any(a.name == "transA" and a.i for a in node.attribute)
            total += int(np.prod(made) * taken[0 if turned else -1])
    return total


def _shapes(model: onnx.ModelProto, names: set[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of tensors, read off a real run: inference on paper stops at the first shape that is computed."""
    shapes = {w.name: tuple(w.dims) for w in model.graph.initializer}
    known = {value.name for value in (*model.graph.output, *model.graph.input)}
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names - known - set(shapes))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = random_feed(session)
    made = session.run(None, feed)
    shapes |= {value.name: array.shape for value, array in zip(session.get_outputs(), made, strict=True)}
    return shapes | {name: array.shape for name, array in feed.items()}


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """CPU session with so many threads inside an operator and none beside it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def random_feed(session: onnxruntime.InferenceSession) -> dict[str, np.ndarray]:
    """Noise in 0..1 for every input; free axes are 1."""
    draw = np.random.default_rng(0)
    feed = {}
    for value in session.get_inputs():
        shape = [n if isinstance(n, int) and n > 0 else 1 for n in value.shape]
        if "uint8" in value.type:
            feed[value.name] = draw.integers(0, 256, shape, np.uint8)
        elif "int64" in value.type:
            feed[value.name] = np.zeros(shape, np.int64)
        else:
            feed[value.name] = draw.random(shape).astype(np.float16 if "float16" in value.type else np.float32)
    return feed


@dataclass(frozen=True)
class Speeds:
    """Medians of one alternating run, in milliseconds."""

    ours_ms: float
    reference_ms: float

    @property
    def speedup(self) -> float:
        return self.reference_ms / self.ours_ms


def race(ours: Path, reference: Path, threads: int, rounds: int) -> Speeds:
    """Run both in turn, so that a busy or throttled machine slows both alike."""
    pairs = [(s := open_session(path, threads), random_feed(s)) for path in (ours, reference)]
    times: list[list[float]] = [[], []]
    warm_up = max(3, rounds // 10)
    for turn in range(warm_up + rounds):
        for at, (session, feed) in enumerate(pairs):
            start = time.perf_counter()
            session.run(None, feed)
            if turn >= warm_up:
                times[at].append(1000 * (time.perf_counter() - start))
    return Speeds(*(statistics.median(t) for t in times))


def ours_path(given: Path | None) -> Path:
    """The network file to measure: the one given, else that of ``KOUXING_WEIGHTS``, else the shipped one."""
    if given is not None:
        return given
    from kouxing import weights

    return weights.home(OURS) / f"{OURS}.onnx"


def main() -> int:
    """Print both networks' size and speed and write the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--ours", type=Path, help=f"ONNX file; default: the shipped {OURS}")
    parser.add_argument("--no-write", action="store_true", help="do not touch docs/figures/dub.json")
    options = parser.parse_args()
    try:
        ours = ours_path(options.ours)
    except KouxingError as error:
        print(error, file=sys.stderr)
        return 2
    if not ours.exists():
        print(f"{ours}: no such network file; train and export it first, or name one with --ours", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        reference = reference_onnx(Path(folder) / "reference.onnx")
        speeds = race(ours, reference, options.threads, options.rounds)
        runs = (("ours, 256x256", ours, speeds.ours_ms), ("reference, 96x96", reference, speeds.reference_ms))
        for name, path, ms in runs:
            size, macs = count_parameters(path) / 1e6, count_macs(path) / 1e9
            print(f"{name:18} {size:6.2f} M parameters  {macs:5.2f} GMAC  {ms:7.2f} ms  {1000 / ms:6.1f} frames/s")
    print(json.dumps({"net_speedup_vs_wav2lip": round(speeds.speedup, 2), "threads": options.threads}))
    if not options.no_write:
        from kouxing.eval import figures

        command = f"python benchmarks/bench_net.py --threads {options.threads}"
        notes = f"{speeds.ours_ms:.1f} ms against {speeds.reference_ms:.1f} ms a frame, {options.threads} threads."
        figures.write("dub", command, {"net_speedup_vs_wav2lip": speeds.speedup}, notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
