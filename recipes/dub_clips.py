"""Dubs every clip of a split with its own speech, without loss: what ``kouxing evaluate lips --against`` compares with.

    python recipes/dub_clips.py --data DIR --out FOLDER [--split test] [--preset fast]

It keeps to what the package has had since its first weights, so that an older version can be run by it:

    git archive 5410d1e | tar x -C OLD
    PYTHONPATH=OLD/src python recipes/dub_clips.py --data ../shared/data --out runs/first
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

from kouxing.data.manifest import read_manifest
from kouxing.eval.judge import fit
from kouxing.eval.redub import Studio
from kouxing.infer.parts import shipped
from kouxing.media.writer import VideoWriter
from kouxing.units import FRAME_HZ


def main() -> None:
    """Write ``<id>.mp4`` of every clip that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--preset", default="fast")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    studio = Studio(shipped(), given.preset)
    for clip in read_manifest(given.data, given.split):
        path = given.out / f"{clip.id}.mp4"
        if path.exists():
            continue
        scene = studio.load(given.data, clip, given.out / "tracks" / f"{clip.id}.npz")
        made = studio.redub(scene, fit(studio.hear(scene.samples), len(scene)))
        # x264's quality 0 keeps every sample.
        with VideoWriter(path, like=made[0], rate=Fraction(FRAME_HZ), crf=0, threads=1) as video:
            for frame in made:
                video.write(frame)
        print(path, flush=True)


if __name__ == "__main__":
    main()
