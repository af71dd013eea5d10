"""Which clips of a data set are in step, told by the shipped discriminator: for `kouxing train speech --set2`.

    python recipes/in_step.py --data DIR --out set2.csv

The filter of `kouxing train sync` judges by discriminators of stage 1 that have not seen a clip; they hardly tell
single words. The finished discriminator does, but what it learned to take for true it cannot doubt: it moves clips
and drops none. Studio clips are in step by their making. A clip is moved where its sound is off by more than a frame
and a half and every lag that is not beside that one is far less likely.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from kouxing.data.mouths import Mouths, load_mouths
from kouxing.data.sync import FARTHEST
from kouxing.data.sync_filter import Verdict, write_verdicts
from kouxing.face.offset import APART, find_offset, similarities
from kouxing.infer.discriminator import Discriminator

OFF, LEAD = 1.5, 3.0
"""Frames, and log-odds over lags that are not beside the best."""


def verdict(clip: Mouths, judge: Discriminator) -> Verdict:
    """What the discriminator says of one clip."""
    sims = similarities(judge.embed_mouths(clip.pictures), judge.embed_speech(clip.mel))
    found = find_offset(sims, ~clip.silent, judge.calibration)
    late = 0
    if not found.abstained and clip.clip.group != "grid" and OFF <= abs(found.frames) < FARTHEST + 0.5:
        lags = np.arange(len(found.evidence))
        others = found.evidence[np.abs(lags - found.evidence.argmax()) >= APART]
        late = round(found.frames) if others.max() < -LEAD else 0
    return Verdict(clip.clip.id, True, late, round(found.frames, 2), round(found.confidence, 4), 1.0, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    clips, judge = load_mouths(given.data, "train"), Discriminator(threads=1)
    verdicts = [verdict(clip, judge) for clip in clips]
    write_verdicts(given.out, {clip.clip.id: clip.clip for clip in clips}, verdicts)
    moved = [one.late for one in verdicts if one.late]
    print(f"{given.out}: {len(moved)} of {len(verdicts)} clips are moved")


if __name__ == "__main__":
    main()
