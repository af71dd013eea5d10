"""``kouxing score``: speed and memory on 720p footage, and how well ``--fix`` mends sound that was moved on purpose.

    python benchmarks/bench_sync.py [--data DIR] [--seconds 40] [--minutes 1 10] [--cores 2] [--quick] [--no-write]

Speed and memory: the footage of ``bench_dub`` (a swaying face and a voice, made here), each run a process of its own;
from opening the file to offset, offset over time and who speaks. With ``--data``: every clip of the test split is
written anew with its sound moved by ±1..12 frames in the content itself, its pictures copied, and mended. What is left
is measured in the sound, against what the clip as it is says of itself. Clips that are refused count as not mended.
Each clip is also given another one's sound: that should be refused.
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
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from bench_dub import make_footage, make_speech, repeat
from kouxing.config import one_thread_a_library
from kouxing.errors import KouxingError
from kouxing.media.opening import opened, video_stream
from kouxing.media.reader import load_sound
from kouxing.media.sound import sound_frame
from kouxing.types import Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ, SAMPLES_PER_FRAME

FARTHEST = 12
"""Frames by which sound is moved, both ways."""
GOOD = 1.0
"""Frames that may be left."""
STUDIO, WILD = "grid", "wild"


def with_sound(pictures: Path, samples: Float, path: Path) -> None:
    """Pictures copied as they are, and a sound ``[N]`` at ``SAMPLE_HZ`` beside them."""
    with opened(pictures) as source, av.open(str(path), "w") as out:
        stream = video_stream(source)
        track = out.add_stream_from_template(stream)
        voice: Any = out.add_stream("aac", rate=SAMPLE_HZ)
        voice.codec_context.layout = "mono"
        voice.codec_context.bit_rate = 64_000
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = track
                out.mux(packet)
        out.mux(voice.encode(sound_frame(samples[None], "mono", SAMPLE_HZ, 0)))
        out.mux(voice.encode(None))


def moved_content(samples: Float, late_frames: int) -> Float:
    """The same length, ``late_frames`` later (earlier where negative); silence where nothing is left."""
    shift = late_frames * SAMPLES_PER_FRAME
    result = np.zeros_like(samples)
    if shift >= 0:
        result[shift:] = samples[: len(samples) - shift]
    else:
        result[:shift] = samples[-shift:]
    return result


def shift_between(samples: Float, want: Float) -> float:
    """Frames by which ``samples`` come later than ``want``, by their cross-correlation."""
    most = (FARTHEST + 20) * SAMPLES_PER_FRAME
    size = 1 << (len(samples) + len(want)).bit_length()
    product = np.fft.irfft(np.fft.rfft(samples, size) * np.conj(np.fft.rfft(want, size)), size)
    return (int(np.argmax(np.concatenate([product[-most:], product[:most]]))) - most) / SAMPLES_PER_FRAME


def video_bytes(path: Path) -> list[bytes]:
    with opened(path) as source:
        return [bytes(packet) for packet in source.demux(video_stream(source)) if packet.size]


FOREIGN = 99
"""In place of a shift: the sound is another clip's, and the scorer should refuse."""


@dataclass(frozen=True)
class Case:
    """One clip with its sound moved: what is left after mending, in frames; None where the scorer refused."""

    part: str
    clip: str
    planted: int
    left: float | None
    same_pictures: bool = True

    def __str__(self) -> str:
        what = "another's" if self.planted == FOREIGN else f"{self.planted:+d}"
        return f"{what}: {'refused' if self.left is None else f'{self.left:+.2f}'}"


def mend(data: Path, plants: int, limit: int | None) -> list[Case]:
    """Move, mend, measure."""
    from kouxing.data.manifest import read_manifest
    from kouxing.infer.score_look import shipped

    parts = shipped()
    draw = np.random.default_rng(0)
    shifts = np.array([s for s in range(-FARTHEST, FARTHEST + 1) if s])
    cases: list[Case] = []
    clips = read_manifest(data, "test")
    for place, clip in enumerate(clips if limit is None else clips[:: max(len(clips) // limit, 1)]):
        # Somebody else's sound: the next clip's of the same part of the split.
        others = [other for other in [*clips[place + 1 :], *clips] if other.part == clip.part and other.id != clip.id]
        told = mend_clip(data, clip, others[0], draw.choice(shifts, plants, replace=False).tolist(), parts)
        print(f"{clip.part} {clip.id}: {', '.join(map(str, told))}", flush=True)
        cases += told
    return cases


def mend_clip(data: Path, clip: Any, other: Any, planted: list[int], parts: Any) -> list[Case]:
    """All plants of one clip, and once the other clip's sound."""
    from kouxing.infer.score import score
    from kouxing.infer.score_look import look
    from kouxing.infer.score_sure import Ruler
    from kouxing.media.reader import probe

    source = data / "clips" / f"{clip.id}.mp4"
    seen = look(probe(source), None, parts, None)
    own = Ruler(parts.judge.calibration).measure(seen.faces[0].sim, seen.spoken).frames - seen.late
    cases = []
    with tempfile.TemporaryDirectory(prefix="kouxing-bench-") as name:
        off, out = Path(name) / "off.mp4", Path(name) / "mended.mp4"
        samples = load_sound(source).samples
        foreign = np.resize(load_sound(data / "clips" / f"{other.id}.mp4").samples, len(samples))
        for late in [*planted, FOREIGN]:
            with_sound(source, foreign if late == FOREIGN else moved_content(samples, late), off)
            try:
                score(off, fix=out, overwrite=True, parts=parts)
            except KouxingError:
                cases.append(Case(clip.part, clip.id, late, None))
                continue
            if late == FOREIGN:
                cases.append(Case(clip.part, clip.id, late, float("nan")))
                continue
            left = shift_between(load_sound(out).samples, samples) + own
            cases.append(Case(clip.part, clip.id, late, left, video_bytes(off) == video_bytes(out)))
    return cases


def figures_of(cases: list[Case]) -> dict[str, float]:
    """Shares of all cases and of each part's; ``score_false``: clips with another's sound that got an answer."""
    found: dict[str, float] = {}
    foreign = [case.left is not None for case in cases if case.planted == FOREIGN]
    if foreign:
        found["score_false"] = sum(foreign) / len(foreign)
    cases = [case for case in cases if case.planted != FOREIGN]
    for part in ("", STUDIO, WILD):
        own = [case for case in cases if case.part == part or not part]
        if not own:
            continue
        tail = f"_{part}" if part else ""
        known = [abs(case.left) for case in own if case.left is not None]
        found[f"fix_within1{tail}"] = sum(left <= GOOD for left in known) / len(own)
        found[f"fix_refused{tail}"] = 1 - len(known) / len(own)
        found[f"fix_wrong{tail}"] = sum(left > GOOD for left in known) / len(own)
    found["fix_same_pictures"] = float(all(case.same_pictures for case in cases))
    return found


def run_alone(video: Path, cores: int) -> dict[str, float]:
    """One look in a process of its own.

    Returns:
        ``speed_x``, ``core_ms`` (work a picture, all cores together), ``peak_mb``.
    """
    one_thread_a_library()  # As `kouxing score` does; the child inherits it before it imports anything.
    command = [sys.executable, __file__, "--child", str(video), str(cores)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench_sync: the run failed\n{done.stderr}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def child(video: str, cores: str) -> None:
    """The measured process. The swaying face does not speak: all is worked out, then ``score`` would refuse."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
    from kouxing.infer.score_look import look, shipped
    from kouxing.infer.score_sure import Ruler
    from kouxing.infer.score_time import moments, speaking, stretches
    from kouxing.media.reader import probe

    began = time.monotonic()
    parts = shipped()
    seen = look(probe(Path(video)), None, parts, None)
    ruler, face, shapes = Ruler(parts.judge.calibration), seen.faces[0], seen.shapes(0)
    told = ruler.measure(face.sim, seen.spoken, shapes)
    moments(face.sim, seen.spoken, seen.late, ruler, shapes)
    stretches(face.sim, seen.spoken, face.cuts, seen.late, ruler, shapes)
    speaking([face.sim], seen.spoken, told.frames)
    spent = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    frames = len(face.sim)
    work = 1000 * (used.ru_utime + used.ru_stime) / frames
    found = {"speed_x": frames / FRAME_HZ / spent, "core_ms": work, "peak_mb": used.ru_maxrss / scale}
    print(json.dumps(found | {"seen": float(face.seen.mean())}))


def show(what: str, told: dict[str, float]) -> None:
    """One line of a run."""
    line = "{speed_x:.1f} x real time, {core_ms:.1f} core-ms a picture, {peak_mb:.0f} MB, face in {seen:.0%}"
    print(f"{what}: {line.format(**told)}", flush=True)


def footage(folder: Path, piece: Path, seconds: int, times: int) -> Path:
    """The piece of ``seconds``, so many times, with a voice."""
    silent, voice = folder / f"{seconds * times}s.mp4", folder / f"{seconds * times}s.wav"
    whole = folder / f"whole-{seconds * times}s.mp4"
    repeat(piece, silent, times)
    make_speech(voice, seconds * times)
    with opened(silent) as source, av.open(str(whole), "w") as out:
        track = out.add_stream_from_template(video_stream(source))
        spoken: Any = out.add_stream("aac", rate=SAMPLE_HZ)
        spoken.codec_context.layout = "mono"
        samples = load_sound(voice).samples
        size, count = SAMPLE_HZ, 0
        for packet in source.demux(video_stream(source)):
            if not packet.size:
                continue
            # A second of sound at a time beside its pictures, as any recorder writes it.
            while count < len(samples) and Fraction(count, SAMPLE_HZ) <= (packet.pts or 0) * packet.time_base:
                out.mux(spoken.encode(sound_frame(samples[None, count : count + size], "mono", SAMPLE_HZ, count)))
                count += size
            packet.stream = track
            out.mux(packet)
        out.mux(spoken.encode(None))
    return whole


def speed_and_memory(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Speed on ``--seconds``; peak memory of a short and of a long file."""
    piece = folder / "piece.mp4"
    make_footage(piece, 20)
    told = run_alone(footage(folder, piece, 20, -(-options.seconds // 20)), options.cores)
    show(f"{options.seconds} s", told)
    found = {"speed_x": told["speed_x"], "core_ms": told["core_ms"]}
    if not options.quick:
        peaks = []
        for minutes in options.minutes:
            told = run_alone(footage(folder, piece, 20, 3 * minutes), options.cores)
            show(f"{minutes} min", told)
            peaks.append(told["peak_mb"])
        found |= {"mem_growth": peaks[-1] / peaks[0], "peak_mb": peaks[-1]}
    return found


def main() -> int:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with manifest.csv and clips/, for --fix")
    parser.add_argument("--plants", type=int, default=4, help="shifts a clip")
    parser.add_argument("--limit", type=int, help="about so many clips only")
    parser.add_argument("--seconds", type=int, default=40, help="length of the footage for speed")
    parser.add_argument("--minutes", type=int, nargs=2, default=[1, 10], help="lengths of the footage for memory")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="no memory")
    parser.add_argument("--only-fix", action="store_true", help="neither speed nor memory")
    parser.add_argument("--no-write", action="store_true", help="do not touch docs/figures/sync.json")
    options = parser.parse_args()
    found: dict[str, float] = {}
    notes = []
    if not options.only_fix:
        with tempfile.TemporaryDirectory(prefix="kouxing-bench-") as name:
            found |= speed_and_memory(Path(name), options)
        notes.append(f"720p25, {options.seconds} s for speed, {options.cores} cores.")
        notes += [] if options.quick else [f"{options.minutes} min for memory."]
    if options.data is not None:
        cases = mend(options.data, options.plants, options.limit)
        found |= figures_of(cases)
        plants = sum(case.planted != FOREIGN for case in cases)
        notes.append(f"--fix: {plants} planted offsets; what is refused counts as not mended.")
    print(json.dumps({key: round(value, 3) for key, value in found.items()}))
    if not options.no_write and found:
        from kouxing.eval import figures

        # Options are part of the command: a run for speed alone must not take the other figures' place.
        command = shlex.join(["python", "benchmarks/bench_sync.py", *sys.argv[1:]])
        figures.write("sync", command, found, " ".join(notes))
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        sys.exit(0)
    sys.exit(main())
