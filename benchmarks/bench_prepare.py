"""Speed of ``kouxing prepare`` on long 720p videos, and whether a killed one comes to the same manifest.

    python benchmarks/bench_prepare.py [--minutes 30] [--data ../shared/data] [--footage FOLDER] [--cores 2]
                                       [--kills 10] [--no-sync] [--no-write]

The videos are made here: the data folder's clips of people one after the other in the middle of a 720p picture with
grain, each with its own sound, in videos of five minutes. Speed is footage by wall time of the whole command, loading
of the models included. For the kills a short video is prepared once undisturbed; then, each time in a folder of its
own, the command's process is killed (SIGKILL, its workers find out by themselves) at a random moment and started again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench_dub import repeat
from kouxing.config import one_thread_a_library
from kouxing.data.manifest import Clip, read_manifest
from kouxing.errors import MediaError
from kouxing.media.colour import planes_from_rgb, to_rgb
from kouxing.media.join import join
from kouxing.media.reader import RGB_COLOUR, load_sound, read_video
from kouxing.media.writer import VideoWriter
from kouxing.types import Bytes, Float, VideoFrame
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

WIDTH_PX, HEIGHT_PX = 1280, 720
FACE_PX = 640
"""Side of the clip in the picture: its face is about 370 pixels."""
GRAIN = 2.0
VIDEO_MINUTES = 5
NEW_SECONDS = 60
"""So much of each video is coded; the rest repeats it, which costs `prepare` the same and the benchmark less."""
LONGEST_S = 12
MOST_EACH = 6
CRF = 20
SHORT_S = 24
SPLIT = "0.5/0.25/0.25"
KEPT = ("manifest.csv", "rejects.csv", "statistics.json", "sheet.png")


def people(data: Path) -> Iterator[Clip]:
    """Clips of at least 2 seconds, few of each person, again and again."""
    met: dict[str, int] = {}
    everything = read_manifest(data)
    random.Random(0).shuffle(everything)
    clips = []
    for clip in everything:
        if clip.seconds >= 2 and met.setdefault(clip.speaker, 0) < MOST_EACH:
            met[clip.speaker] += 1
            clips.append(clip)
    while True:
        yield from clips


def pictures(clip: Path, grain: NDArray[np.int16]) -> Iterator[Bytes]:
    """720p pictures with the clip in their middle."""
    left, top = (WIDTH_PX - FACE_PX) // 2, (HEIGHT_PX - FACE_PX) // 2
    for number, frame in enumerate(read_video(clip)):
        scene = np.full((HEIGHT_PX, WIDTH_PX, 3), (88, 96, 110), np.uint8)
        shown = cv2.resize(to_rgb(frame), (FACE_PX, FACE_PX), interpolation=cv2.INTER_CUBIC)
        scene[top : top + FACE_PX, left : left + FACE_PX] = shown
        x, y = (number * 37) % 64, (number * 53) % 64
        noise = grain[y : y + HEIGHT_PX, x : x + WIDTH_PX, None]
        yield np.clip(scene.astype(np.int16) + noise, 0, 255).astype(np.uint8)


def make_video(path: Path, data: Path, clips: Iterator[Clip], seconds: int, times: int) -> None:
    """``seconds`` of different people, ``times`` times."""
    grain = np.random.default_rng(0).normal(0, GRAIN, (HEIGHT_PX + 64, WIDTH_PX + 64)).astype(np.int16)
    blank = np.zeros((2, 2), np.uint8)
    first = VideoFrame((blank, blank, blank), 0, Fraction(1, FRAME_HZ), RGB_COLOUR)
    like = replace(first, planes=planes_from_rgb(np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8), RGB_COLOUR))
    part, speech = path.with_suffix(".part.mp4"), path.with_suffix(".wav")
    heard: list[Float] = []
    frames = 0
    with VideoWriter(part, like=like, rate=Fraction(FRAME_HZ), crf=CRF) as video:
        while frames < seconds * FRAME_HZ:
            clip = data / "clips" / f"{next(clips).id}.mp4"
            try:
                samples = load_sound(clip, SAMPLE_HZ).samples
            except MediaError:
                continue
            begun = frames
            for picture in pictures(clip, grain):
                if frames - begun >= LONGEST_S * FRAME_HZ or frames >= seconds * FRAME_HZ:
                    break
                video.write(replace(first, planes=planes_from_rgb(picture, RGB_COLOUR), pts=frames))
                frames += 1
            wanted = (frames - begun) * SAMPLES_PER_FRAME
            heard.append(np.pad(samples[:wanted], (0, max(0, wanted - len(samples)))))
    write_wav(speech, np.tile(np.concatenate(heard), times))
    repeated = path.with_suffix(".long.mp4")
    repeat(part, repeated, times)
    join([repeated], path, sound=speech, seconds=Fraction(frames * times, FRAME_HZ))
    for left in (part, speech, repeated):
        left.unlink()


def write_wav(path: Path, samples: Float) -> None:
    """16-bit mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_HZ)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def command(footage: Path, out: Path, jobs: int, sync: bool) -> list[str]:
    """The words that prepare ``footage``."""
    words = [sys.executable, "-m", "kouxing", "prepare", str(footage), "-o", str(out), "--json"]
    return [*words, "--jobs", str(jobs), "--split", SPLIT, *([] if sync else ["--no-sync"])]


def long_footage(place: Path, data: Path, minutes: float) -> Path:
    """The videos for speed in a folder of ``place``; made where they are not there yet."""
    footage = place / f"minutes-{minutes:g}"
    if footage.is_dir():
        return footage
    part = footage.with_name(f"{footage.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    clips = people(data)
    left = round(60 * minutes)
    while left > 0:
        length = min(left, 60 * VIDEO_MINUTES)
        new = min(NEW_SECONDS, length)
        make_video(part / f"video-{left:05d}.mp4", data, clips, new, max(1, round(length / new)))
        left -= length
    return part.rename(footage)


def speed(folder: Path, footage: Path, cores: int, sync: bool) -> dict[str, float]:
    """Footage by wall time of the whole command on ``cores`` cores."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(command(footage, folder / "set", cores, sync), capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"bench_prepare: the run failed\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    core_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    told = json.loads(done.stdout.splitlines()[-1])
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    figures = {
        "prepare_x": told["footage_s"] / took,
        "prepare_core_s": core_s / told["footage_s"],
        "prepare_mb": after.ru_maxrss / scale,
    }
    print(json.dumps({"footage_s": told["footage_s"], "wall_s": took, "core_s": core_s, **figures}), flush=True)
    print(json.dumps(told), flush=True)
    return figures


def tables(out: Path) -> dict[str, str]:
    """SHA-256 of the manifest and of every table, statistic and clip."""
    files = [out / name for name in KEPT] + sorted(out.glob("prepare/*.csv"))
    files += sorted(out.glob("clips/*")) + sorted(out.glob("tracks/*"))
    return {str(one.relative_to(out)): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


def resumed(folder: Path, data: Path, kills: int, cores: int, sync: bool) -> dict[str, float]:
    """Whether killed runs, taken up, make the same files."""
    footage = folder / "short"
    footage.mkdir()
    clips = people(data)
    for number in range(2):
        make_video(footage / f"short-{number}.mp4", data, clips, SHORT_S // 2, 1)
    began = time.monotonic()
    subprocess.run(command(footage, folder / "whole", cores, sync), check=True, capture_output=True)
    length = time.monotonic() - began
    wanted = tables(folder / "whole")
    moments = random.Random(1)
    same = done = 0
    while done < kills:
        out = folder / f"killed-{done}"
        words = command(footage, out, cores, sync)
        began = time.monotonic()
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            running.wait(moments.uniform(0.05, 0.98) * length)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
            moment = time.monotonic() - began
            there = sorted(one.name for one in out.glob("prepare/*.csv"))
            subprocess.run(words, check=True, capture_output=True)
            alike = tables(out) == wanted
            same, done = same + alike, done + 1
            print(f"killed after {moment:.1f} s with {there}: same files {alike}", flush=True)
        else:
            # Too late for a kill: the machine has become quicker.
            length = time.monotonic() - began
        shutil.rmtree(out, ignore_errors=True)
    return {"prepare_resume": same / kills}


def main() -> int:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30, help="length of the footage for speed; 0 leaves it out")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--footage", type=Path, help="folder that keeps the long videos for the next time")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--kills", type=int, default=10, help="0 leaves them out")
    parser.add_argument("--no-sync", action="store_true", help="leave the sync discriminator out")
    parser.add_argument("--no-write", action="store_true", help="do not touch docs/figures/sync.json")
    options = parser.parse_args()
    one_thread_a_library()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="kouxing-bench-") as name:
        if options.minutes:
            footage = long_footage(options.footage or Path(name), options.data, options.minutes)
            found |= speed(Path(name), footage, options.cores, not options.no_sync)
        if options.kills:
            found |= resumed(Path(name), options.data, options.kills, options.cores, not options.no_sync)
    print(json.dumps({key: round(value, 3) for key, value in found.items()}))
    if not options.no_write:
        from kouxing.eval import figures

        notes = f"{options.minutes:g} min of 720p25 on {options.cores} cores" if options.minutes else ""
        notes += ", without sync offsets" if options.no_sync else ""
        words = shlex.join(["python", "benchmarks/bench_prepare.py", *sys.argv[1:]])
        figures.write("sync", words, found, notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
