"""A photo becomes a head whose lips and lids close, whatever the photo's expression."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from face.people import anna
from faces3d import covered, named, pose
from fake_media import make_video
from kouxing.arkit import COEFFICIENTS, PLACE
from kouxing.cli.app import run
from kouxing.errors import MediaError, NoFaceError, OptionError, OutputError
from kouxing.export.glb import read_glb
from kouxing.face.landmarks import INNER_LIP
from kouxing.infer import morphs
from kouxing.infer.avatar import AvatarReport, _doubts, _first_picture, avatar
from kouxing.infer.portrait import POINTS, learned
from kouxing.media.reader import probe, read_video
from kouxing.media.writer import VideoWriter


def save(path: Path, image: np.ndarray) -> Path:
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[AvatarReport, list[morphs.Part]]:
    folder = tmp_path_factory.mktemp("avatar")
    large = np.asarray(cv2.resize(anna(), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    report = avatar(save(folder / "photo.png", large), folder / "me.glb", texture_px=512)
    return report, morphs.load(report.output)


def test_it_has_the_52_names_and_a_picture(made: tuple[AvatarReport, list[morphs.Part]]) -> None:
    report, parts = made
    (mesh,) = read_glb(report.output).document["meshes"]
    assert mesh["extras"]["targetNames"] == list(COEFFICIENTS) and report.targets == 52
    assert report.bytes == report.output.stat().st_size < 2e6
    assert 180 < report.face_px < 220 and not report.warnings
    assert {part.name for part in parts} == {"photo", "eyes", "mouth", "teeth", "tongue"}
    photo = named(parts, "photo")
    assert photo.texture is not None and photo.texture.shape == (512, 512, 3) and not photo.lit
    # Her hair and suit are in it, not only her face.
    assert photo.texture.std() > 30


def test_every_coefficient_moves_something(made: tuple[AvatarReport, list[morphs.Part]]) -> None:
    photo, eyes = named(made[1], "photo"), named(made[1], "eyes")
    for number, name in enumerate(COEFFICIENTS):
        part = eyes if name.startswith("eyeLook") else photo
        largest = abs(part.moves[:, number]).max()
        assert 0.0004 < largest < 0.06, (name, largest)


def lips(photo: morphs.Part, weights: np.ndarray) -> np.ndarray:
    """Gaps of the inner lips, place by place, metres."""
    half = len(INNER_LIP) // 2
    points = photo.posed(weights)[:POINTS]
    upper, lower = [INNER_LIP[-k] for k in range(1, half)], [INNER_LIP[k] for k in range(1, half)]
    return np.asarray(points[upper, 1] - points[lower, 1])


def test_her_smile_is_closed_at_rest_and_the_jaw_opens_it(made: tuple[AvatarReport, list[morphs.Part]]) -> None:
    photo = named(made[1], "photo")
    assert np.abs(lips(photo, pose())).max() < 1e-3
    assert 0.010 < lips(photo, pose(jawOpen=1)).max() < 0.05
    for amount in (0.3, 1.0):
        assert np.abs(lips(photo, pose(jawOpen=amount, mouthClose=amount))).max() < 1.5e-3


def test_a_rounded_mouth_is_narrower_and_a_smile_wider(made: tuple[AvatarReport, list[morphs.Part]]) -> None:
    photo = named(made[1], "photo")

    def wide(**values: float) -> float:
        points = photo.posed(pose(**values))
        return float(points[291, 0] - points[61, 0])

    assert wide(mouthPucker=1) < 0.88 * wide() and wide(mouthSmile=1) > 1.04 * wide()


def test_lids_close_over_the_eyes(made: tuple[AvatarReport, list[morphs.Part]]) -> None:
    photo, eyes = named(made[1], "photo"), named(made[1], "eyes")
    shown = ~covered(photo, pose(), eyes.points)
    assert shown.sum() > 10
    assert covered(photo, pose(eyeBlink=1), eyes.points[shown]).mean() > 0.95


def test_the_mouth_has_an_inside(made: tuple[AvatarReport, list[morphs.Part]]) -> None:
    photo, teeth = named(made[1], "photo"), named(made[1], "teeth")
    assert covered(photo, pose(), teeth.points).mean() > 0.98
    opened = pose(jawOpen=0.8)
    assert covered(photo, opened, teeth.posed(opened)).mean() < 0.95


def test_what_cannot_become_an_avatar_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "me.glb"
    empty = save(tmp_path / "empty.png", np.full((200, 200, 3), 128, np.uint8))
    with pytest.raises(NoFaceError, match=r"empty\.png: a face was not found"):
        avatar(empty, out)
    photo = save(tmp_path / "photo.png", anna())
    with pytest.raises(NoFaceError, match="face 3"):
        avatar(photo, out, face_index=3)
    small = np.asarray(cv2.resize(anna(), (120, 120), interpolation=cv2.INTER_AREA), np.uint8)
    with pytest.raises(NoFaceError):
        avatar(save(tmp_path / "small.png", small), out)
    with pytest.raises(MediaError):
        avatar(tmp_path / "none.png", out)
    with pytest.raises(OptionError, match="texture size 100"):
        avatar(photo, out, texture_px=100)
    with pytest.raises(OptionError, match=r"\.glb"):
        avatar(photo, tmp_path / "me.obj")
    for number in (None, "0", 0.5, -1):
        with pytest.raises(OptionError, match="--face"):
            avatar(photo, out, face_index=number)  # type: ignore[arg-type]
    own = tmp_path / "photo.glb"
    own.write_bytes(photo.read_bytes())
    with pytest.raises(OutputError, match="one of the inputs"):
        avatar(own, own, overwrite=True)
    assert own.read_bytes() == photo.read_bytes()
    out.write_bytes(b"mine")
    with pytest.raises(OutputError, match="is there already"):
        avatar(photo, out)
    assert out.read_bytes() == b"mine"
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".glb"}


def test_the_command_makes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = save(tmp_path / "photo.png", anna())
    assert run(["avatar", str(photo), "-o", str(tmp_path / "me.glb"), "--texture", "256"]) == 0
    told = capsys.readouterr()
    assert "targets: 52" in told.out and "pixels wide" in told.err
    assert run(["avatar", str(photo), "-o", str(tmp_path / "me.glb")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_frame_with_other_pixels_is_seen_as_players_show_it(tmp_path: Path) -> None:
    make_video(tmp_path / "plain.mp4", frames=1, size=(160, 120))
    info = replace(probe(tmp_path / "plain.mp4"), sample_aspect=Fraction(3, 2))
    with VideoWriter(tmp_path / "wide.mp4", like=info) as writer:
        writer.write(next(iter(read_video(tmp_path / "plain.mp4"))))
    assert _first_picture(tmp_path / "plain.mp4").shape == (120, 160, 3)
    assert _first_picture(tmp_path / "wide.mp4").shape == (120, 240, 3)
    # No picture is shown so: a mistake of the file's.
    assert replace(info, sample_aspect=Fraction(100)).shown_width == 160


def test_what_was_learned_fits_the_mesh() -> None:
    told = learned()
    assert told.moves.shape == (52, POINTS, 3) and np.isfinite(told.moves).all()
    assert told.faces.min() == 0 and told.faces.max() == POINTS - 1


@pytest.mark.parametrize(("left", "right", "told"), [(0.8, 0.7, True), (0.9, 0.1, False), (0.4, 0.5, False)])
def test_closed_eyes_are_told(left: float, right: float, told: bool) -> None:
    values = np.zeros(52, np.float32)
    values[[PLACE["eyeBlinkLeft"], PLACE["eyeBlinkRight"]]] = left, right
    assert any("eyes are closed" in one for one in _doubts(300, np.zeros(3), values)) is told


@pytest.mark.parametrize("degrees", [-25, 25])
def test_teeth_stay_behind_the_lips_when_the_head_turns(
    made: tuple[AvatarReport, list[morphs.Part]], degrees: float
) -> None:
    photo, teeth, bag = (named(made[1], name) for name in ("photo", "teeth", "mouth"))
    turn = np.radians(degrees)
    across = np.array([np.cos(turn), 0, np.sin(turn)])
    ring = bag.points[: len(INNER_LIP)]
    shown = ring @ across
    wide = np.ptp(shown)
    # The far side's teeth are seen too, as far as the mouth is.
    seen = teeth.points @ across
    assert seen.max() > shown.max() - 0.22 * wide and seen.min() < shown.min() + 0.22 * wide
    # And none stands out of the lips.
    assert teeth.points[:, 2].max() < ring[:, 2].max() < photo.points[:, 2].max()
