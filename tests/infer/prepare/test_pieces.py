"""Dividing and judging: every frame comes out as part of a clip or as a reject with its reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kouxing.infer.prepare.pieces import cuts, divide, judged, runs, shot_bounds, square_around
from kouxing.infer.prepare.plan import Chunk, Media, Places, Settings, Source
from kouxing.infer.prepare.watch import Seen
from kouxing.units import SAMPLES_PER_FRAME

FRAMES = 300
SETTINGS = Settings()


def seen_well(frames: int = FRAMES) -> Seen:
    """A sharp face of 200 pixels that looks into the camera and stands still."""
    box = np.tile(np.array([100, 100, 280, 300], np.float32), (frames, 1))
    return Seen(
        found=np.ones(frames, bool), cut=np.zeros(frames, bool), fresh=np.ones(frames, bool),
        points=np.zeros((frames, 69, 2), np.float32), box=box, blendshapes=np.zeros((frames, 51), np.float16),
        rotation=np.tile(np.eye(3, dtype=np.float32), (frames, 1, 1)), scale=np.ones(frames, np.float32),
        middle=np.zeros((frames, 2), np.float32), detail=np.full(frames, 0.1, np.float32),
        size_px=np.array([640, 360]),
    )  # fmt: skip


def chunk_of(folder: Path, loud: slice = slice(0, FRAMES)) -> tuple[Places, Chunk]:
    """The second chunk of a source with noise in some frames of it."""
    places = Places(folder)
    source = Source("talk-123456", "talk.mp4", folder / "talk.mp4", "0" * 64)
    chunk = Chunk(Media(source, 80.0, 640, 360, 25.0), 1)
    sound = np.zeros((chunk.first + FRAMES, SAMPLES_PER_FRAME), "<i2")
    rng = np.random.default_rng(0)
    sound[chunk.first :][loud] = rng.normal(0, 5000, sound[chunk.first :][loud].shape)
    places.sound(source).parent.mkdir(parents=True)
    places.sound(source).write_bytes(sound.tobytes())
    return places, chunk


def test_runs_bridge_short_gaps() -> None:
    found = np.ones(60, bool)
    found[:3], found[20:25], found[40:46] = False, False, False
    assert runs(found, 100) == [(100, 103, False), (103, 140, True), (140, 146, False), (146, 160, True)]
    assert runs(~np.ones(4, bool)) == [(0, 4, False)]
    assert shot_bounds(np.array([False, False, True, False])) == [(0, 2), (2, 4)]
    assert shot_bounds(np.array([True, False])) == [(0, 2)]
    assert cuts(10, 300, 125) == [(10, 135), (135, 260), (260, 300)]


def test_every_frame_is_kept_or_refused(tmp_path: Path) -> None:
    places, chunk = chunk_of(tmp_path)
    seen = seen_well()
    seen.found[130:160] = False
    seen.cut[210] = True
    made = divide(places, SETTINGS, chunk, seen)
    whole = chunk.first
    assert [(row["first"] - whole, row["frames"]) for row in made["pieces"]] == [(0, 125), (160, 50), (210, 90)]
    assert made["pieces"][1]["id"] == f"{chunk.media.source.name}-{whole + 160:06d}"
    assert [(row["first"] - whole, row["frames"], row["reason"]) for row in made["rejects"]] == [
        (125, 5, "too short"),
        (130, 30, "no face"),
    ]
    assert sum(row["frames"] for row in made["pieces"] + made["rejects"]) == FRAMES
    assert [(row["frames"], row["found"]) for row in made["shots"]] == [(210, 180), (90, 90)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"box": np.tile(np.array([0, 0, 40, 50], np.float32), (FRAMES, 1))}, "face too small"),
        ({"detail": np.full(FRAMES, 0.01, np.float32)}, "blurred"),
        ({"fresh": np.arange(FRAMES) % 3 == 0}, "too few pictures"),
        ({"found": np.arange(FRAMES) % 5 > 0}, "face lost"),
    ],
)
def test_reasons(change: dict, reason: str) -> None:
    _, refusal = judged(SETTINGS, replace(seen_well(), **change), np.zeros(FRAMES, bool), 0, 125)
    assert refusal is not None and refusal[0] == reason and refusal[1]


def test_a_face_turned_away_is_refused_and_one_on_its_side_is_not() -> None:
    def turned(axes: tuple[int, int], degrees: float) -> Seen:
        turn = np.eye(3)
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turn[np.ix_(axes, axes)] = [[c, -s], [s, c]]
        return replace(seen_well(), rotation=np.tile(turn.astype(np.float32), (FRAMES, 1, 1)))

    quiet = np.zeros(FRAMES, bool)
    row, refusal = judged(SETTINGS, turned((0, 2), 60), quiet, 0, 125)
    assert refusal == ("turned away", "60 degrees")
    row, refusal = judged(SETTINGS, turned((1, 2), 30), quiet, 0, 125)
    assert refusal is None and row["turn_deg"] == 30
    assert judged(SETTINGS, turned((0, 1), 80), quiet, 0, 125)[1] is None


def test_silence_and_missing_sound_are_refused(tmp_path: Path) -> None:
    places, chunk = chunk_of(tmp_path, slice(0, 125))
    made = divide(places, SETTINGS, chunk, seen_well())
    assert len(made["pieces"]) == 1 and made["pieces"][0]["silent"] == 0
    assert [row["reason"] for row in made["rejects"]] == ["nobody speaks", "nobody speaks"]
    sound = places.sound(chunk.media.source)
    sound.write_bytes(sound.read_bytes()[: 2 * SAMPLES_PER_FRAME * chunk.first])
    assert divide(places, SETTINGS, chunk, seen_well())["pieces"] == []


def test_the_square_holds_the_face_all_the_time() -> None:
    x, y, side = square_around(seen_well().box)
    assert (x % 2, y % 2, side) == (0, 0, 340)
    assert abs(x + side / 2 - 190) <= 2 and abs(y + side / 2 - 200) <= 2
    moving = seen_well().box + np.linspace(0, 300, FRAMES, dtype=np.float32)[:, None] * np.array([1, 0, 1, 0])
    x, y, side = square_around(moving.astype(np.float32))
    assert x <= 100 and x + side >= 580 and y <= 100 and y + side >= 300
    _, refusal = judged(SETTINGS, replace(seen_well(), box=moving), np.zeros(FRAMES, bool), 0, FRAMES)
    assert refusal is None or refusal[0] == "moves too far"
    far = moving.copy()
    far[:, [0, 2]] *= 2
    _, refusal = judged(SETTINGS, replace(seen_well(), box=far), np.zeros(FRAMES, bool), 0, FRAMES)
    assert refusal is not None and refusal[0] == "moves too far"
