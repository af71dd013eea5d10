"""What ``kouxing fit`` brings: lower face and mouth of seconds it has not seen, shipped network against fitted one.

Two people: GRID's s1 (20 sentences of ``test-person`` to learn from, the other 12 to judge; the shipped network knows
him from its own training), and the longest wild clip of ``test`` (its first three quarters to learn from, the last
quarter to judge; no network has ever seen it).

    python benchmarks/bench_fit.py --data ../shared/data --work runs/fit
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from kouxing.data.manifest import Clip, read_manifest  # noqa: E402
from kouxing.eval import figures  # noqa: E402
from kouxing.eval.judge import fit as as_long  # noqa: E402
from kouxing.eval.judge import own_rows  # noqa: E402
from kouxing.eval.redub import Scene, Studio  # noqa: E402
from kouxing.infer import person as persons  # noqa: E402
from kouxing.infer.paint import cast  # noqa: E402
from kouxing.infer.parts import shipped  # noqa: E402
from kouxing.types import FaceTrack  # noqa: E402
from kouxing.units import FRAME_HZ, SAMPLE_HZ  # noqa: E402

LEARNT_CLIPS = 20
LEARNT_SHARE = 0.75
GAP_S = 0.4
"""Between what is learnt from and what is judged."""
MEASURES = ("psnr_db", "ssim", "r", "sharpness", "lmd")


def beginning(source: Path, seconds: float, out: Path) -> Path:
    """The first ``seconds`` of a file, packets as they are."""
    with av.open(str(source)) as given, av.open(str(out), "w") as made:
        streams = {
            one.index: made.add_stream_from_template(one) for one in given.streams if one.type in ("video", "audio")
        }
        for packet in given.demux(*[one for one in given.streams if one.index in streams]):
            if packet.dts is None or float(packet.pts * packet.time_base) >= seconds:
                continue
            packet.stream = streams[packet.stream.index]
            made.mux(packet)
    return out


def last_part(scene: Scene, first: int) -> Scene:
    """Frames ``first`` and later, as a clip of its own that begins at 0."""
    frames = tuple(replace(frame, pts=frame.pts - scene.frames[first].pts) for frame in scene.frames[first:])
    track = FaceTrack(
        **{name: getattr(scene.track, name)[first:] for name in ("lips", "anchors", "jaw", "found", "cut")}
    )
    return Scene(scene.clip, frames, track, scene.samples[first * SAMPLE_HZ // FRAME_HZ :], cast(track, FRAME_HZ))


def judged(scenes: list[Scene], path: Path | None) -> dict[str, float]:
    """Means over clips, own speech, of the shipped network or a person's."""
    studio = Studio(shipped(persons.load(path) if path else None), "fast")
    rows = []
    for scene in scenes:
        made = studio.redub(scene, as_long(studio.hear(scene.samples), len(scene)))
        row = own_rows("self", scene, made, studio.follow(made))
        rows.append([row[f"self_{name}"] for name in MEASURES])
    return dict(zip(MEASURES, np.nanmean(rows, 0).tolist(), strict=True))


def fitted(footage: list[Path], out: Path) -> dict[str, float]:
    """Run ``kouxing fit`` where its file is not there yet; minutes by the clock and of one core, kept beside it."""
    told = out.with_suffix(".cost.json")
    if not (out.exists() and told.exists()):
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        words = [sys.executable, "-m", "kouxing", "fit", *map(str, footage), "-o", str(out), "--force", "--resume"]
        subprocess.run(words, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        core = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        told.write_text(json.dumps({"minutes": (time.monotonic() - began) / 60, "core_minutes": core / 60}))
    cost: dict[str, float] = json.loads(told.read_text())
    return cost


def people(data: Path, work: Path) -> dict[str, tuple[list[Path], list[Scene]]]:
    """Name -> what is learnt from, what is judged."""
    studio = Studio(shipped(), "fast")

    def load(clip: Clip) -> Scene:
        return studio.load(data, clip, work / "tracks" / f"{clip.id}.npz")

    known = sorted(read_manifest(data, "test-person"), key=lambda clip: clip.id)
    paths = [data / "clips" / f"{clip.id}.mp4" for clip in known[:LEARNT_CLIPS]]
    wild = max((clip for clip in read_manifest(data, "test") if clip.part == "wild"), key=lambda clip: clip.seconds)
    split = LEARNT_SHARE * wild.seconds
    part = beginning(data / "clips" / f"{wild.id}.mp4", split, work / f"{wild.id}.mp4")
    rest = last_part(load(wild), int((split + GAP_S) * FRAME_HZ))
    return {"grid": (paths, [load(clip) for clip in known[LEARNT_CLIPS:]]), "wild": ([part], [rest])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/fit"))
    parser.add_argument("--only", choices=("grid", "wild"))
    parser.add_argument("--no-write", action="store_true", help="leave docs/figures/lips.json as it is")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    for name, (footage, scenes) in people(options.data, options.work).items():
        if options.only not in (None, name):
            continue
        out = options.work / f"{name}.kx"
        for key, value in fitted(footage, out).items():
            found[f"fit_{key}_{name}"] = value
        before, after = judged(scenes, None), judged(scenes, out)
        found[f"fit_gain_db_{name}"] = after["psnr_db"] - before["psnr_db"]
        for key in MEASURES:
            found[f"fit_{key}_{name}_before"], found[f"fit_{key}_{name}_after"] = before[key], after[key]
        print(json.dumps({key: round(value, 4) for key, value in found.items()}, indent=1), flush=True)
    if not options.no_write:
        only = [] if options.only is None else ["--only", options.only]
        command = shlex.join(["python", "benchmarks/bench_fit.py", "--data", str(options.data), *only])
        figures.write("lips", command, found, "fit_minutes with other work on the machine")
        figures.refresh_all()


if __name__ == "__main__":
    main()
