"""``fit`` on a drawn-over photo: it learns, it resumes, its file paints; what is no footage is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnxruntime
import pytest
import torch

from face.people import anna
from fake_media import make_picture, make_sound, make_video
from kouxing import weights
from kouxing.errors import DataError, KouxingError, NoFaceError, NoSoundError, NoVideoError, OptionError, UnsureError
from kouxing.infer import person
from kouxing.infer.lips import LipsNetwork
from kouxing.infer.manner import SHAPE
from kouxing.train import fit as module
from kouxing.train import fit_footage, fit_manner, restore
from kouxing.train.fit import fit
from kouxing.units import FRAME_HZ, SAMPLE_HZ

FRAMES = 60


def test_the_report_tells_what_the_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training that made the picture worse, and a manner of speaking worth having."""
    watched = SimpleNamespace(footage=SimpleNamespace(found=np.ones(3000, bool)))
    manner = fit_manner.Manner(np.full(SHAPE, 0.01, np.float32), 0.1)
    monkeypatch.setattr(module, "LEAST_GAIN_DB", 0.05)
    monkeypatch.setattr(module, "take", lambda *_: [watched])
    monkeypatch.setattr(module, "learnt_manner", lambda _: manner)
    monkeypatch.setattr(module, "_learn", lambda *_: ({"val/psnr_db": 22.0, "step": 100.0}, 25.0, 25.4, 0.3))
    job = SimpleNamespace(place=lambda name: tmp_path / name)
    out, schedule = tmp_path / "me.kx", module.Schedule(steps=100)
    told = module._made(job, [Path("a.mp4")], out, "fast", 0, "cpu", schedule, lambda *_: None)  # type: ignore[arg-type]
    assert (told.before_db, told.manner_db, told.after_db, told.steps) == (25.0, 25.4, 25.4, 0)
    assert person.load(out).sharpening is None
    kept = person.load(out).card["figures"]
    assert (kept["before_db"], kept["manner_db"], kept["after_db"], kept["steps"]) == (25.0, 25.4, 25.4, 0)


def talking(number: int) -> np.ndarray:
    """The astronaut, swaying, a dark mouth opening and closing."""
    image = cv2.resize(anna(), (240, 240))
    gap = int(5 + 4 * np.sin(number / 3))
    cv2.ellipse(image, (120, 166), (18, gap), 0, 0, 360, (70, 20, 25), -1)
    return np.roll(image, round(2 * np.sin(number / 9)), 1)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("footage") / "anna.mp4"
    make_video(path, frames=FRAMES, size=(240, 240), rate=30, sound_rate=16000, picture=talking)
    return path


@pytest.fixture(scope="module")
def watched(footage: Path) -> dict[str, np.ndarray]:
    """What watching it gives: the tracker needs to look only once for all tests."""
    seen: list[tuple[int, int]] = []
    found = fit_footage._prepared(footage, 10_000, lambda *step: seen.append(step), 0)
    assert seen == sorted(seen) and seen[-1][0] == seen[-1][1]
    return found


def test_no_more_sound_is_taken_than_counts(tmp_path: Path) -> None:
    make_sound(tmp_path / "long.wav", 5)
    assert len(fit_footage._sound(tmp_path / "long.wav", FRAME_HZ)) == 2 * SAMPLE_HZ
    assert len(fit_footage._sound(tmp_path / "long.wav", 10 * FRAME_HZ)) == 5 * SAMPLE_HZ


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch, footage: Path, watched: dict[str, np.ndarray]) -> None:
    real = fit_footage._prepared

    def prepared(path: Path, most: int, told, face_index: int) -> dict[str, np.ndarray]:
        if path != footage:
            return real(path, most, told, face_index)
        told(1, 1)
        return watched

    monkeypatch.setattr(fit_footage, "_prepared", prepared)
    monkeypatch.setattr(fit_footage, "LEAST_S", 1)
    monkeypatch.setattr(fit_footage, "FEWEST_FRAMES", 15)
    monkeypatch.setattr(fit_footage, "BLOCK_S", 1)
    monkeypatch.setattr(fit_footage, "HELD_EVERY", 3)
    monkeypatch.setattr(module, "SCHEDULE", replace(module.SCHEDULE, steps=2, batch=2, warmup=1, validate_every=2))
    monkeypatch.setattr(module, "JUDGED", 3)
    monkeypatch.setattr(module, "LEAST_GAIN_DB", -100.0)


def test_the_shipped_graphs_come_back_as_a_model() -> None:
    model, places = restore.lips("fast")
    made = restore.tensors(model, places, "fast")
    for stage in person.STAGES:
        shipped = weights.content(f"lips_fast_{stage}")
        from kouxing.weights import graph

        for name, row in graph.stored(shipped).items():
            np.testing.assert_array_equal(made[f"{stage}/{name}"], graph.values(shipped, row))
    crops = torch.rand(3, 3, 32, 32).repeat_interleave(8, 2).repeat_interleave(8, 3)
    session = onnxruntime.InferenceSession(weights.content("lips_fast_references"))
    given = (crops.permute(0, 2, 3, 1) * 255).round().to(torch.uint8)
    wanted = session.run(["last"], {"crops": given.numpy()})[0]
    with torch.no_grad():
        found = model.encode(given.permute(0, 3, 1, 2).float() / 255)[3]
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-3)


@pytest.mark.parametrize("name", ["a\0b", "a" * 300])
def test_names_that_cannot_be_and_links_to_nothing_are_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(KouxingError, match="cannot be written"):
        fit([tmp_path / "a.mp4"], tmp_path / f"{name}.kx")
    with pytest.raises(KouxingError, match="cannot be read"):
        fit([tmp_path / f"{name}.mp4"], tmp_path / "b.kx")
    (tmp_path / "link.kx").symlink_to(tmp_path / "gone.kx")
    with pytest.raises(KouxingError, match="is there already"):
        fit([tmp_path / "a.mp4"], tmp_path / "link.kx")


def test_fit_learns_one_person(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, told = tmp_path / "anna.kx", []
    report = fit([footage], out, progress=lambda *step: told.append(step))
    assert report.seconds > 1.5 and report.steps in (2, 3) and report.preset == "fast"
    assert report.warnings == ("the footage shows the face for 2 s; a minute or more fits better",)
    assert [path.name for path in tmp_path.iterdir()] == ["anna.kx"]
    assert 0 <= person.load(out).card["sharpening"] <= module.MOST_SHARPENED
    for stage in ("watch", "fit"):
        done = [count for name, count, _ in told if name == stage]
        assert done == sorted(done)
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == ["watch", "fit"]
    whom = person.load(out)
    shipped = weights.content("lips_fast_frame")
    from kouxing.weights import graph

    changed = {
        name
        for name, row in graph.stored(shipped).items()
        if not np.array_equal(graph.values(shipped, row), whom.tensors[f"frame/{name}"])
    }
    assert changed and all(name.removeprefix("model.").startswith(module.PART) or "MatMul" in name for name in changed)
    LipsNetwork("fast", threads=1, person=whom)
    with pytest.raises(KouxingError, match="is there already"):
        fit([footage], out)
    # Held-out seconds that get no better are told, and no file is left.
    monkeypatch.setattr(module, "LEAST_GAIN_DB", 100.0)
    monkeypatch.setattr(fit_manner, "LEAST_GAIN", 1.0)
    with pytest.raises(UnsureError, match="no better"):
        fit([footage], tmp_path / "worse.kx", steps=1)
    assert [path.name for path in tmp_path.iterdir()] == ["anna.kx"]


def test_a_stopped_fit_goes_on(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "anna.kx"

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "fit":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit([footage], out, progress=stop)
    assert not out.exists() and (tmp_path / "anna.kx.job" / "watched-000.npz").exists()
    with pytest.raises(OptionError, match="unfinished job differs"):
        fit([footage], out, resume=True, steps=1)
    stages: list[str] = []
    fit([footage], out, resume=True, progress=lambda stage, done, total: stages.append(stage))
    assert set(stages) == {"fit"} and out.exists()


def test_held_out_seconds_are_not_trained_on(footage: Path, tmp_path: Path) -> None:
    from kouxing.infer.job import Job

    (one,) = fit_footage.take([footage], Job.open(tmp_path / "x.kx", {}, False), lambda *step: None)
    assert one.held.any() and one.trained.any() and not (one.held & one.trained).any()
    apart = np.abs(np.flatnonzero(one.held)[:, None] - np.flatnonzero(one.trained)[None]).min()
    assert apart > 5
    assert not one.part.found[one.held].any() and len(one.footage) == pytest.approx(FRAMES * 25 / 30, abs=1)


def test_many_short_files_count_together(
    footage: Path, watched: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kouxing.infer.job import Job

    # Held-out blocks of one second fall on whole files here: the third of five is one, the others teach.
    short = {name: value[:25] for name, value in watched.items() if name not in ("jpeg", "offsets", "mel")}
    short |= {"offsets": watched["offsets"][:26], "jpeg": watched["jpeg"], "mel": watched["mel"][:100]}
    monkeypatch.setattr(fit_footage, "_prepared", lambda *given: short)
    monkeypatch.setattr(fit_footage, "FEWEST_FRAMES", 15)
    steps: list[int] = []
    job = Job.open(tmp_path / "x.kx", {}, False)
    taken = fit_footage.take([footage] * 5, job, lambda stage, done, total: steps.append(done))
    assert [bool(one.held.all()) for one in taken] == [False, True, False, False, True]
    assert [one.teaches for one in taken] == [True, False, True, True, False]
    for one in taken:
        assert one.shown.any() and (one.teaches or (one.shown == one.footage.found).all())
    model, _ = restore.lips("fast")
    task = module.FitTask(model, None, None, [], taken=taken)  # type: ignore[arg-type]
    assert np.isfinite(task.psnr_db(model))


def test_of_many_short_files_some_are_held_out_whole(
    footage: Path, watched: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kouxing.infer.job import Job

    monkeypatch.setattr(fit_footage, "HELD_EVERY", 4)
    taken = fit_footage.take([footage] * 9, Job.open(tmp_path / "x.kx", {}, False), lambda *step: None)
    assert [one.held.any() for one in taken] == [number in (2, 6) for number in range(9)]
    for one in taken:
        part = one.held if one.held.any() else one.trained
        assert (part == one.footage.found).all() and not (one.held & one.trained).any()
        assert one.shown.any()


def test_what_is_no_footage_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "x.kx"
    make_video(tmp_path / "silent.mp4", frames=5, size=(96, 96))
    make_video(tmp_path / "empty.mp4", frames=30, size=(96, 96), sound_rate=16000)
    make_sound(tmp_path / "only.wav", 1)
    make_picture(tmp_path / "one.png", (96, 96))
    make_video(tmp_path / "short.mp4", frames=12, size=(240, 240), sound_rate=16000, picture=talking)
    for name, kind in (
        ("silent.mp4", NoSoundError),
        ("empty.mp4", NoFaceError),
        ("only.wav", NoVideoError),
        ("one.png", NoVideoError),
        ("short.mp4", DataError),
        ("none.mp4", KouxingError),
    ):
        with pytest.raises(kind) as caught:
            fit([tmp_path / name], out)
        assert "\n" not in str(caught.value)
    for options, message in (
        ({"preset": "huge"}, "--preset"),
        ({"face_index": -1}, "--face"),
        ({"steps": 0}, "--steps 0"),
        ({"steps": -5}, "--steps -5"),
        ({"steps": 1.5}, "--steps 1.5"),
    ):
        with pytest.raises(OptionError, match=message):
            fit([tmp_path / "short.mp4"], out, **options)
    with pytest.raises(OptionError, match=r"end in \.kx"):
        fit([tmp_path / "short.mp4"], tmp_path / "x.onnx")
    with pytest.raises(OptionError, match="no footage"):
        fit([], out)
