"""Speed and memory of the whole dub: 720p footage, from the first look at the file to the finished output.

    python benchmarks/bench_dub.py [--seconds 20] [--minutes 1 10] [--cores 2] [--quick] [--no-write]

The footage is made here: scikit-image's astronaut, swaying, with grain, so that decoding and encoding have their usual
work. Each run is a process of its own on ``--cores`` cores; its peak memory is what the system says (``ru_maxrss``).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from kouxing.config import one_thread_a_library
from kouxing.media.colour import planes_from_rgb
from kouxing.media.reader import RGB_COLOUR, load_sound
from kouxing.media.writer import VideoWriter
from kouxing.types import VideoFrame
from kouxing.units import FRAME_HZ, SAMPLE_HZ

WIDTH_PX, HEIGHT_PX = 1280, 720
GRAIN = 3.0
SOURCE_CRF = 22
"""With that grain about 4 Mbit/s, as footage is usually delivered."""
SWAY_PX = 12.0
VOICE = Path(__file__).parents[1] / "src/kouxing/assets/demo-voice.flac"
RUNS = 3
"""Of each preset; the middle one counts, for a virtual machine's speed comes and goes."""
FIGURES = {"fast": "fps_fast", "fine": "fps_fine"}


def picture(number: int, face: NDArray[np.uint8], grain: NDArray[np.int16]) -> NDArray[np.uint8]:
    """``[720, 1280, 3]``: the face sways slowly, the grain is another one in every frame."""
    turn = 2 * np.pi * number / (4 * FRAME_HZ)
    x, y = SWAY_PX * np.sin(turn), SWAY_PX / 2 * np.cos(2 * turn)
    scale = HEIGHT_PX / face.shape[0] * (1 + 0.01 * np.sin(turn / 2))
    middle = face.shape[1] / 2 * scale
    matrix = np.array([[scale, 0, WIDTH_PX / 2 - middle + x], [0, scale, y]])
    shown = cv2.warpAffine(face, matrix, (WIDTH_PX, HEIGHT_PX), borderMode=cv2.BORDER_REPLICATE)
    left, top = (number * 37) % 64, (number * 53) % 64
    noise = grain[top : top + HEIGHT_PX, left : left + WIDTH_PX]
    return np.clip(shown + noise[..., None], 0, 255).astype(np.uint8)


def make_footage(path: Path, seconds: int) -> None:
    """A 720p video of the swaying face."""
    from skimage.data import astronaut

    face = astronaut()[0:288, 90:378]
    noise = np.random.default_rng(0).normal(0, GRAIN, (HEIGHT_PX + 64, WIDTH_PX + 64))
    grain = noise.astype(np.int16)
    blank = np.zeros((2, 2), np.uint8)
    first = VideoFrame((blank, blank, blank), 0, Fraction(1, FRAME_HZ), RGB_COLOUR)
    like = replace(first, planes=planes_from_rgb(picture(0, face, grain), RGB_COLOUR))
    with VideoWriter(path, like=like, rate=Fraction(FRAME_HZ), crf=SOURCE_CRF) as video:
        for number in range(seconds * FRAME_HZ):
            planes = planes_from_rgb(picture(number, face, grain), RGB_COLOUR)
            video.write(replace(first, planes=planes, pts=number))


def repeat(source: Path, path: Path, times: int) -> None:
    """The same pictures one after the other, ``times`` times, without coding them again."""
    with av.open(str(path), "w") as out:
        shift = 0
        track: Any = None
        for _ in range(times):
            with av.open(str(source)) as part:
                stream = part.streams.video[0]
                if track is None:
                    track = out.add_stream_from_template(stream)
                length = int(stream.duration or 0)
                for packet in part.demux(stream):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = (packet.pts or 0) + shift, packet.dts + shift
                    packet.stream = track
                    out.mux(packet)
            shift += length


def make_speech(path: Path, seconds: int) -> None:
    """The demo's voice, again and again."""
    samples = load_sound(VOICE, SAMPLE_HZ).samples
    whole = np.tile(samples, -(-seconds * SAMPLE_HZ // len(samples)))[: seconds * SAMPLE_HZ]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_HZ)
        file.writeframes((whole * 32767).astype("<i2").tobytes())


def run_alone(face: Path, speech: Path, out: Path, preset: str, cores: int) -> dict[str, float]:
    """One dub in a process of its own.

    Returns:
        ``frames``, ``fps`` (of everything, scan included), ``core_ms`` (work a frame, all cores together), ``peak_mb``.
    """
    command = [sys.executable, __file__, "--child", str(face), str(speech), str(out), preset, str(cores)]
    one_thread_a_library()  # As `kouxing dub` does; the child inherits it before it imports anything.
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench_dub: the run failed\n{done.stderr}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def child(face: str, speech: str, out: str, preset: str, cores: str) -> None:
    """The measured process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
    from kouxing.infer.dub import dub

    report = dub(face, speech, out, preset=preset, overwrite=True)
    used = resource.getrusage(resource.RUSAGE_SELF)
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    told = {"frames": report.frames, "fps": report.fps, "peak_mb": used.ru_maxrss / scale}
    print(json.dumps({**told, "core_ms": 1000 * (used.ru_utime + used.ru_stime) / report.frames}))


def show(what: str, told: dict[str, float]) -> None:
    """One line of a run."""
    parts = "{frames:.0f} frames, {fps:.1f} frames/s, {core_ms:.1f} core-ms a frame, {peak_mb:.0f} MB"
    print(f"{what}: {parts.format(**told)}", flush=True)


def speeds(folder: Path, seconds: int, cores: int) -> dict[str, float]:
    """Frames per second of both presets."""
    face, speech = folder / f"face-{seconds}s.mp4", folder / f"speech-{seconds}s.wav"
    make_footage(face, seconds)
    make_speech(speech, seconds)
    found = {}
    for preset, key in FIGURES.items():
        runs = [run_alone(face, speech, folder / "out.mp4", preset, cores) for _ in range(RUNS)]
        for told in runs:
            show(preset, told)
        found[key] = float(np.median([told["fps"] for told in runs]))
    return found


def memory(folder: Path, minutes: list[int], cores: int) -> dict[str, float]:
    """Peak memory of a short and of a long job."""
    piece = folder / "piece.mp4"
    make_footage(piece, 20)
    peaks = []
    for length in minutes:
        face, speech = folder / f"face-{length}min.mp4", folder / f"speech-{length}min.wav"
        repeat(piece, face, 3 * length)
        make_speech(speech, 60 * length)
        told = run_alone(face, speech, folder / "out.mp4", "fast", cores)
        show(f"{length} min", told)
        peaks.append(told["peak_mb"])
    return {"mem_growth": peaks[-1] / peaks[0], "peak_mb": peaks[-1]}


def main() -> int:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=20, help="length of the footage for speed")
    parser.add_argument("--minutes", type=int, nargs=2, default=[1, 10], help="lengths of the footage for memory")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="speed only")
    parser.add_argument("--no-write", action="store_true", help="do not touch docs/figures/dub.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kouxing-bench-") as name:
        folder = Path(name)
        found = speeds(folder, options.seconds, options.cores)
        if not options.quick:
            found |= memory(folder, options.minutes, options.cores)
    print(json.dumps({key: round(value, 2) for key, value in found.items()}))
    if not options.no_write:
        from kouxing.eval import figures

        notes = f"720p25, {options.seconds} s for speed, {options.cores} cores."
        notes += "" if options.quick else f" {options.minutes} min for memory."
        # Options are part of the command: a run for speed alone must not take the memory figures' place.
        command = shlex.join(["python", "benchmarks/bench_dub.py", *sys.argv[1:]])
        figures.write("dub", command, found, notes)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        sys.exit(0)
    sys.exit(main())
