"""Animation against what most tools do, in one run: our two models, viseme switching, loudness, and real Rhubarb.

    python benchmarks/bench_animate.py [--data DATA] [--phones RUN/phones] [--node node_modules] [--poses] [--no-write]

The judge is that of ``kouxing evaluate animate``: the inner-lip gap that tracking measured, on speakers never seen.
Visemes get their phones from our own phone network (the phone stage of `kouxing train speech`, which no text helps),
and, where GRID's file names tell the sentence, from espeak-ng's exact times of it, laid onto the recording by dynamic
time warping. Rivals' closed lips are judged at thresholds fitted in hindsight, which flatters them; ours is fixed.
What is missing (footage, phone network, espeak-ng, Node.js and its packages) is skipped with a line that says so.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kouxing.config import one_thread_a_library

one_thread_a_library()

from kouxing.arkit import COEFFICIENTS  # noqa: E402
from kouxing.audio.features import SILENT_MEL, log_mel  # noqa: E402
from kouxing.errors import DataError, KouxingError  # noqa: E402
from kouxing.eval import known_words, visemes  # noqa: E402
from kouxing.eval.outside import RHUBARB, VALIDATOR, Node, read_cues  # noqa: E402
from kouxing.export import gltf  # noqa: E402
from kouxing.infer.animate import load, voice  # noqa: E402
from kouxing.infer.mouth import look_ahead_ms  # noqa: E402
from kouxing.text.phones import MOUTHS  # noqa: E402
from kouxing.types import CoefficientTrack, Float  # noqa: E402
from kouxing.units import FRAME_HZ, MELS_PER_FRAME, SAMPLE_HZ  # noqa: E402

HEAD = Path(__file__).parents[1] / "src/kouxing/assets/head.glb"
TIMED_S = 20
"""Speech over which rivals are timed."""


@dataclass(frozen=True)
class Way:
    """One way of animating, ready to be judged.

    Attributes:
        rows: coefficients ``[T, 52]`` by take.
        ours: judged at the fixed threshold; rivals at one fitted in hindsight.
        look_ahead_ms: sound that a row waits for; None where the whole recording must be known.
        rtf: seconds of work per second of speech on one core; None where it was not timed.
    """

    rows: dict[str, Float]
    ours: bool = False
    look_ahead_ms: float | None = None
    rtf: float | None = None


class Ear:
    """The phone network: mouth classes of a mel, without text.

    Args:
        run: the folder ``phones`` of a run of `kouxing train speech`.

    Raises:
        FileNotFoundError: it is not one.
    """

    def __init__(self, run: Path) -> None:
        import torch
        from safetensors.torch import load_file

        from kouxing.models.speech import Listener, SpeechDimensions, SpeechEncoder

        size = json.loads((run / "config.json").read_text(encoding="utf-8"))["dimensions"]
        state = load_file(run / "best.safetensors")
        encoder = SpeechEncoder(SpeechDimensions(**size))
        self._net = Listener(encoder, len(MOUTHS), len(state["coefficients.bias"]))
        self._net.load_state_dict(state)
        self._net.eval()
        self._torch = torch
        torch.set_num_threads(1)
        self._around = (encoder.dimensions.before_rows, encoder.dimensions.after_rows)
        self.look_ahead_ms = look_ahead_ms(MELS_PER_FRAME - 1 + self._around[1])

    def classes(self, mel: Float) -> np.ndarray:
        """``[M, 80]`` -> ``[4 * (M // 4)]`` places in ``MOUTHS``."""
        whole = mel[: len(mel) // MELS_PER_FRAME * MELS_PER_FRAME]
        with self._torch.no_grad():
            padded = np.pad(whole, (self._around, (0, 0)), constant_values=SILENT_MEL)
            given = self._torch.from_numpy(padded)[None]
            return visemes.smoothed(self._net(given)[1][0].numpy())


def rhubarb(node: Node, samples: dict[str, Float], frames: dict[str, int], kept: Path) -> dict[str, Float]:
    """Real Rhubarb's shapes in our poses; what it said is kept in ``kept``, for it takes half an hour."""
    made = {}
    kept.mkdir(parents=True, exist_ok=True)
    for name, sound in samples.items():
        path = kept / f"{name}.json"
        if path.exists():
            cues = read_cues(path.read_text(encoding="utf-8"), str(path))
        else:
            cues = node.rhubarb(sound)
            told = [{"start": cue.start_s, "value": cue.shape} for cue in cues]
            path.write_text(json.dumps({"mouthCues": told}), encoding="utf-8")
        made[name] = visemes.rows_of(visemes.shapes_of_cues(cues, frames[name] * MELS_PER_FRAME))
    return made


def timed(work: Callable[[Float], object], samples: Float) -> float:
    """Seconds of one core's work per second of speech, the better of two; waiting for a busy core does not count."""
    sound = np.resize(samples, TIMED_S * SAMPLE_HZ).astype(np.float32)
    spent = []
    for _ in range(2):
        began = time.process_time()
        work(sound)
        spent.append((time.process_time() - began) / TIMED_S)
    return min(spent)


def rivals(options: argparse.Namespace, node: Node) -> dict[str, float]:
    """Judge all ways, print the table, give the figures."""
    from kouxing.data.animate import load_takes
    from kouxing.data.footage import cache_folder
    from kouxing.eval.animate import loudness, samples_of, speaker
    from kouxing.eval.animate_findings import GROUPS, LIVE

    takes = [take for take in load_takes(options.data, options.split) if take.group in GROUPS]
    if not takes:
        raise DataError(f"{options.data}: no clip of split {options.split!r} has coefficients to compare with")
    samples = {take.name: samples_of(options.data, take) for take in takes}
    longest = max(samples.values(), key=len)
    ways: dict[str, Way] = {}
    models = {"expression": load("expression"), LIVE: load("expression", live=True), "mouth": load("mouth")}
    for method, model in models.items():
        speak = speaker(model)
        made = {name: speak(sound) for name, sound in samples.items()}
        ways[method] = Way(made, True, voice(model).look_ahead_ms, timed(speak, longest))
    try:
        ear = Ear(options.phones)
    except (FileNotFoundError, ImportError) as error:
        print(f"visemes are left out: no phone network ({error}); train one with `kouxing train speech`")
    else:
        made = {take.name: visemes.rows_of(visemes.shapes_of(ear.classes(take.mel))) for take in takes}
        rtf = timed(lambda sound: visemes.rows_of(visemes.shapes_of(ear.classes(log_mel(sound)))), longest)
        ways["visemes"] = Way(made, False, visemes.look_ahead_ms(ear.look_ahead_ms), rtf)
    known: dict[str, np.ndarray] = {}
    try:
        known = known_words.classes_of(options.data, takes)
        made = {name: visemes.rows_of(visemes.shapes_of(classes)) for name, classes in known.items()}
        ways["visemes, words known"] = Way(made)
    except KouxingError as error:
        print(f"visemes of known words are left out: {error}")
    kept = options.cues or cache_folder(options.data).parent / "rhubarb"
    reason = node.lacks(RHUBARB)
    if reason is not None and not all((kept / f"{take.name}.json").exists() for take in takes):
        print(f"Rhubarb itself is left out: {reason}")
    else:
        ways["Rhubarb"] = Way(rhubarb(node, samples, {take.name: len(take) for take in takes}, kept))
    made = {take.name: loudness(samples[take.name], len(take)) for take in takes}
    # The level that counts as loud is the clip's own; a live system would have to guess it.
    frame_ms = 1000 / FRAME_HZ
    ways["loudness"] = Way(made, False, frame_ms, timed(lambda sound: loudness(sound, TIMED_S * FRAME_HZ), longest))
    return compared(takes, ways, {name: known_words.near_bilabials(one) for name, one in known.items()})


NAMES = {"visemes": "viseme", "visemes, words known": "viseme_words", "Rhubarb": "rhubarb", "loudness": "loudness"}
"""Way -> its figures' first word; ours are recorded by `kouxing evaluate animate`."""
OTHERS = {"loudness": ("r_grid", "r_wild", "closure_f1_grid", "closure_f1_wild")}
"""What that command records of rivals, under names of its own."""


def compared(takes: Sequence, ways: dict[str, Way], near: dict[str, np.ndarray]) -> dict[str, float]:
    """Print the table; the figures of the rivals. ``near``: frames about bilabials, where known."""
    from rich.console import Console
    from rich.table import Table

    from kouxing.eval.animate_findings import GROUPS, best_threshold, findings

    table = Table(title="animate against rivals (rivals' closure thresholds fitted in hindsight)")
    for head in (
        "",
        "clips",
        "r",
        "closure F1",
        "F1 fixed",
        "F1 in speech",
        "F1 at p b m",
        "lag ms",
        "look-ahead ms",
        "rtf",
    ):
        table.add_column(head, justify="left" if not head else "right")
    told: dict[str, float] = {}
    for group, title in GROUPS.items():
        table.add_row(f"[bold]{title}[/bold]")
        for name, way in ways.items():
            own = [take for take in takes if take.group == group and take.name in way.rows]
            if not own:
                continue
            fixed = findings(own, way.rows, {}, None).measures[group]
            limits = None if way.ours else best_threshold(own, way.rows)
            found = findings(own, way.rows, {}, limits, near).measures[group]
            waits = "all" if way.look_ahead_ms is None else f"{way.look_ahead_ms:.0f}"
            table.add_row(
                name, str(len(own)), f"{found['r']:.3f}", f"{found['f1']:.3f}", f"{fixed['f1']:.3f}",
                f"{found['f1_speech']:.3f}", shown(found["f1_bilabial"], 3), f"{found['lag_ms']:.0f}", waits,
                shown(math.nan if way.rtf is None else way.rtf, 4),
            )  # fmt: skip
            if name in NAMES and group != "mocap":
                figures = {f"r_{group}": found["r"], f"closure_f1_{group}": found["f1"]}
                if math.isfinite(found["f1_bilabial"]):
                    figures[f"closure_f1_bilabial_{group}"] = found["f1_bilabial"]
                told |= {f"{NAMES[name]}_{key}": value for key, value in figures.items()
                         if key not in OTHERS.get(name, ())}  # fmt: skip
        table.add_section()
    for name, first in NAMES.items():
        if name in ways:
            more = {"lookahead_ms": ways[name].look_ahead_ms, "rtf": ways[name].rtf}
            told |= {f"{first}_{key}": value for key, value in more.items() if value is not None}
    Console(width=140).print(table)
    return told


def shown(value: float, digits: int) -> str:
    """Nothing for what was not measured."""
    return f"{value:.{digits}f}" if math.isfinite(value) else ""


def gltf_errors(node: Node) -> dict[str, float]:
    """Khronos' validator over the bundled head, a photo's avatar, and both animated."""
    from kouxing.infer.avatar import avatar
    from kouxing.infer.demo import portrait

    reason = node.lacks(VALIDATOR)
    if reason is not None:
        print(f"gltf_errors is left out: {reason}")
        return {}
    with tempfile.TemporaryDirectory(prefix="kouxing-bench-") as name:
        folder = Path(name)
        cv2.imwrite(str(folder / "photo.png"), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
        avatar(folder / "photo.png", folder / "photo.glb")
        values = np.random.default_rng(0).random((5 * FRAME_HZ, len(COEFFICIENTS))).astype(np.float32)
        made = [HEAD, folder / "photo.glb"]
        for path in list(made):
            moving = folder / f"moving-{path.name}"
            moving.write_bytes(gltf.animate(path.read_bytes(), CoefficientTrack(values), path.name))
            made.append(moving)
        issues = node.validate(made)
        for path, one in zip(made, issues, strict=True):
            words = "; ".join(one.messages) if one.errors + one.warnings else ""
            print(f"{path.name}: {one.errors} errors, {one.warnings} warnings {words}".strip())
    return {"gltf_errors": float(sum(one.errors for one in issues))}


def poses(options: argparse.Namespace) -> None:
    """Mean tracked lip distance of ``train`` while our phones give each shape: what ``visemes.POSES`` is set after."""
    from kouxing.data.animate import load_takes
    from kouxing.face.closure import lip_distance

    ear = Ear(options.phones)
    takes = [take for take in load_takes(options.data, "train") if take.group in ("grid", "wild")]
    shapes = [visemes.shapes_of(ear.classes(take.mel)) for take in takes]
    distances = [np.maximum(lip_distance(take.values), 0) for take in takes]
    means = visemes.mean_opening(shapes, distances, [take.found for take in takes])
    for place, (shape, mean) in enumerate(zip(visemes.SHAPES, means, strict=True)):
        own = lip_distance(visemes.rows_of(np.full(4 * MELS_PER_FRAME, place, np.int8)))[0]
        print(f"{shape}: tracked {mean:.3f}, pose {own:.3f}")


def main(words: Sequence[str] | None = None) -> int:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with manifest.csv and clips/")
    parser.add_argument("--split", default="test")
    parser.add_argument("--phones", type=Path, default=Path("runs/speech/phones"), help="run folder of the phone stage")
    parser.add_argument("--node", type=Path, help="node_modules folder; default: NODE_PATH")
    parser.add_argument("--cues", type=Path, help="folder that keeps what Rhubarb said; default: in the cache")
    parser.add_argument("--poses", action="store_true", help="print the openings that the visemes are set after")
    parser.add_argument("--no-write", action="store_true", help="do not touch docs/figures/animate.json")
    given = list(sys.argv[1:] if words is None else words)
    options = parser.parse_args(given)
    node = Node(options.node)
    try:
        if options.poses:
            poses(options)
            return 0
        found = gltf_errors(node)
        if (options.data / "manifest.csv").is_file():
            found |= rivals(options, node)
        else:
            print(f"rivals are left out: no footage at {options.data}; name it with --data")
    except (KouxingError, FileNotFoundError) as error:
        print(f"bench_animate: {error}", file=sys.stderr)
        return 2
    print(json.dumps({key: round(value, 4) for key, value in found.items()}))
    if found and not options.no_write:
        from kouxing.eval import figures

        notes = (
            "Real-time factors in time of one core. Rivals' closure thresholds are fitted in hindsight. Visemes wait "
            "at least as long as stated; Rhubarb and visemes of known words need the whole recording. Loudness knows "
            "the clip's loudest level beforehand."
        )
        figures.write("animate", shlex.join(["python", "benchmarks/bench_animate.py", *given]), found, notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
