"""The sync recipe end to end on clips made by code: three stages, filter, calibration, export, evaluation, resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fake_data import make_data
from kouxing import weights
from kouxing.cli import app as cli
from kouxing.data.mouths import Mouths, load_mouths
from kouxing.data.spoiled import Spoil, foreign, spoil
from kouxing.data.sync_filter import Belief, Verdict, read_verdicts, write_verdicts
from kouxing.data.sync_windows import WindowRules
from kouxing.errors import DataError, WeightError
from kouxing.eval.sync import evaluate
from kouxing.face.offset import Calibration, similarities
from kouxing.infer.discriminator import Discriminator
from kouxing.losses.sync import Falses
from kouxing.models.speech import SpeechDimensions, SpeechEncoder
from kouxing.models.sync import SyncDimensions
from kouxing.train import speech, sync, sync_filter
from kouxing.train.export_sync import export_sync
from kouxing.train.loop import Schedule
from kouxing.train.sync_task import Growth, SyncTask, embed, history
from kouxing.types import Float
from sync_clips import made

TINY = Schedule(steps=2, batch=4, warmup=1, validate_every=1)
ABOUT = {"units": {}, "recipe": "test", "commit": "none", "data": [], "licence": "none", "figures": {}}


def quiet(_: str) -> None:
    pass


def recipe() -> dict[str, sync.Stage]:
    return {name: replace(stage, schedule=TINY) for name, stage in sync.RECIPE.items()}


def test_three_stages_and_what_comes_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    data, run = make_data(tmp_path / "set", frames=80), tmp_path / "run"
    monkeypatch.setattr(sync, "calibrate", lambda *_: (Calibration(8.0, (0.5, 0.1, 0.1, 0.1, -1.0)), 0.1))
    monkeypatch.setattr(sync_filter, "FOLDS", 2)
    monkeypatch.setattr(sync_filter, "MEMBERS", 1)
    monkeypatch.setattr(sync_filter, "filter_clips", lambda _, belief, mouths: [
        Verdict(one.clip.id, True, 2 * place, 2.0 * place, 0.1, 0.9, "") for place, one in enumerate(mouths)
    ])  # fmt: skip
    sync.main(data, run, recipe=recipe(), baseline=True, spoiled=True, report=quiet)
    for name in ("filter.png", "margin.png", "set2.csv", "spoiled.json", "sync_mouth.onnx", "sync_speech.json"):
        assert (run / name).exists(), name
    assert weights.card("sync_mouth", run)["dimensions"]["calibration"]["weights"][0] == 0.5
    assert [verdict.late for verdict in read_verdicts(run / "set2.csv")] == [0, 2]
    config = {
        name: json.loads((run / name / "config.json").read_text()) for name in ("one", "two", "three", "onestage")
    }
    assert config["two"]["late"] and not config["one"]["late"] and not config["onestage"]["late"]
    assert config["three"]["rules"]["hard"] > 0 and not config["two"]["rules"]["hard"]
    assert config["onestage"]["schedule"]["steps"] == 6 and config["onestage"]["growth"]["start"] == sync.GOAL
    assert all("data" in one["origin"] for one in config.values())
    changes = "--steps 2 --batch 4 --precision 32-true"
    for folder, more in ((run, ""), (run / "two", ""), (run / "onestage", " --baseline")):
        told = weights.card("sync_mouth", folder)["recipe"]
        assert told == f"kouxing train sync --data DATA {changes} --out runs/run{more}"
    # The same command resumes: nothing is left to do, nothing changes.
    before = (run / "sync_mouth.onnx").read_bytes()
    sync.main(data, run, recipe=recipe(), report=quiet)
    assert (run / "sync_mouth.onnx").read_bytes() == before
    # What was exported gives the vectors of the trained network.
    one, model = load_mouths(data, "test")[0], sync.load(run)
    used = Discriminator(threads=1, folder=run)
    made = used.embed_mouths(one.pictures), used.embed_speech(one.mel)
    for ours, theirs, reach in zip(made, embed(model, one), (used.mouth_reach, used.speech_reach), strict=True):
        # What is exported has weights of eight bits.
        np.testing.assert_allclose(ours, theirs, atol=1e-2)
        ends = np.concatenate([ours[:reach], ours[-reach:]])
        assert np.isnan(ends).all() and np.isfinite(ours[reach:-reach]).all()
    around = used.speech_reach - used.mouth_reach
    window, sound = one.pictures[10:15], one.mel[4 * (10 - around) : 4 * (15 + around)]
    wanted = float((made[0][12] * made[1][12]).sum())
    assert used.similarity(window, sound) == pytest.approx(wanted, abs=2e-3)
    with pytest.raises(ValueError, match="do not fit"):
        used.similarity(window, sound[4:])
    found = evaluate(data, "test", tmp_path / "judged", run)
    assert {
        "stage1_score",
        "stage2_score",
        "stage3_score",
        "baseline_onestage_score",
        "judged_score",
    } <= found.figures.keys()
    assert {"within1_wild", "within1_1s_wild", "auc5_wild", "auc25_wild", "filter_kept"} <= found.figures.keys()
    assert set(found.corruptions["three"]) == {"clean", "noise", "music", "echo", "compression", "blur", "brightness"}
    assert all(path.exists() for path in found.files) and 0 < found.figures["model_mb"] < 5
    assert found.table().row_count > 20
    assert cli.run(["evaluate", "sync", "--data", str(data), "--run", str(tmp_path / "none")]) == 2


def test_it_learns_what_moves_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kouxing.data.sync_augment.seen", lambda pictures, rng, hard: pictures)
    monkeypatch.setattr("kouxing.data.sync_augment.heard", lambda mel, noise, rng, hard: mel)
    mouths = [made(f"m{seed}", seed) for seed in range(8)]
    stage = sync.Stage(
        Schedule(steps=60, batch=8, rate=2e-3, warmup=10, validate_every=20, ema=0.9), WindowRules(rows=20), Falses(),
        Growth(0.05, 0.05, 0.2),
    )  # fmt: skip
    held = [made("h1", 100), made("h2", 101)]
    small = SyncDimensions(channels=(8, 12, 16, 24), hidden=48, features=32)
    pupil = sync.run_stage("one", stage, sync.fresh(0, None, small), mouths, held, tmp_path / "one", {}, report=quiet)
    rows = history(tmp_path / "one")
    assert rows[-1]["val/auc_wild"] > 0.9 and rows[-1]["val/gap"] > 0.3
    # The margin was raised because validation held it, one step at a time.
    assert rows[0]["margin"] == pytest.approx(0.05) and rows[-1]["margin"] > rows[0]["margin"]
    # The filter learns on other clips what their own sound looks like.
    judge = pupil.judge
    crew = sync_filter.Crew(((judge,),) * sync_filter.FOLDS)
    belief = sync_filter.learn_belief(crew, [made(f"v{seed}", 200 + seed) for seed in range(6)])
    moved = [held[0], held[1].shifted(6)]
    rng = np.random.default_rng(0)
    strange = [foreign(one, [*held, *mouths], rng) for one in mouths[:4]]
    verdicts = sync_filter.filter_clips(crew, belief, [*moved, *strange])
    assert [verdict.late for verdict in verdicts[:2]] == [0, 6] and all(verdict.kept for verdict in verdicts[:2])
    assert sum(not verdict.kept for verdict in verdicts[2:]) >= 3
    kept, late = sync_filter.second_set(moved, verdicts)
    assert len(kept) == 2 and late == {"h2": 6}
    with pytest.raises(DataError, match="says nothing of clip m7"):
        sync_filter.second_set([mouths[7]], verdicts)


def test_what_own_sound_looks_like_is_learned_from_moved_sound_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, other = made("v0", 0, 60), made("v1", 1, 60)
    sharp = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
    sharp /= np.linalg.norm(sharp, axis=1, keepdims=True)

    def judged(self: object, one: Mouths, fold: int, sounds: list[Mouths]) -> list[Float]:
        """Finds each sound where the first column of its mel says that it is."""
        return [similarities(sharp, np.roll(sharp, int(sound.mel[0, 0]), 0)) for sound in sounds]

    def marked(one: Mouths, late: float) -> Mouths:
        return replace(one, mel=np.full_like(one.mel, late))

    learned: list[tuple[int, int]] = []

    def note(table: Float, right: Float, steepness: float) -> Calibration:
        learned.append((int(right.sum()), len(right)))
        return Calibration(steepness, (0.0,) * (table.shape[1] + 1))

    monkeypatch.setattr(sync_filter.Crew, "similarities", judged)
    monkeypatch.setattr(sync_filter, "fit", note)
    monkeypatch.setattr(sync_filter, "foreign", lambda one, held_out, rng: marked(one, 9))
    monkeypatch.setattr(sync_filter, "moved", lambda one, late: marked(one, late))
    sync_filter.learn_belief(sync_filter.Crew(()), [clip, other])
    # Those that are not found where they were put count for nothing.
    monkeypatch.setattr(sync_filter, "moved", lambda one, late: marked(one, late and -late))
    sync_filter.learn_belief(sync_filter.Crew(()), [clip, other])
    each, foreign_ones = 2 * sync_filter.FOLDS, sync_filter.FOREIGN
    most = 1 + sync_filter.MOVED
    assert learned == [(each * most, each * (most + foreign_ones)), (each, each * (1 + foreign_ones))]


def test_nobody_judges_a_clip_that_it_was_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_filter, "MEMBERS", 1)
    heard: dict[str, list[str]] = {}

    def note(name: str, stage: Any, start: Any, mouths: Any, held: Any, out: Path, late: Any, **_: Any) -> Any:
        heard[out.name] = [one.clip.id for one in mouths]
        return start

    monkeypatch.setattr(sync_filter, "run_stage", note)
    mouths = [made(f"m{seed}", seed) for seed in range(12)]
    crew = sync_filter.train_crew(sync.RECIPE["one"], sync.fresh, mouths, [], tmp_path, report=quiet)
    assert len(crew.members) == sync_filter.FOLDS and len(heard) == sync_filter.FOLDS
    for fold in range(sync_filter.FOLDS):
        own = {one.clip.id for one in mouths if sync_filter.fold_of(one) == fold}
        assert own and set(heard[f"{fold}-0"]) == {one.clip.id for one in mouths} - own
    # Every discriminator starts from another seed.
    first = [crew.members[fold][0].mouth.state_dict() for fold in range(2)]
    assert any(not torch.equal(first[0][name], first[1][name]) for name in first[0])


def test_margin_stays_where_validation_does_not_hold_it(tmp_path: Path) -> None:
    held = [made("h", 5)]
    task = SyncTask(sync.fresh(), lambda number: {}, held, Falses(), Growth(0.9, 0.05, 1.0))
    task.model.margin.fill_(0.9)
    told = task.validate(task.model, tmp_path, 1)
    assert told["val/margin"] == pytest.approx(0.9) == pytest.approx(float(task.model.margin))
    assert history(tmp_path)[0]["step"] == 1


def test_the_ear_starts_from_a_trained_one(tmp_path: Path) -> None:
    torch.manual_seed(3)
    encoder = SpeechEncoder(SpeechDimensions())
    save_file({f"encoder.{name}": value for name, value in encoder.state_dict().items()}, tmp_path / "ear.safetensors")
    taken = sync.fresh(0, tmp_path / "ear.safetensors").judge.speech
    torch.testing.assert_close(taken.first.weight, encoder.first.weight)
    torch.testing.assert_close(taken.middle[0].weight, encoder.middle[0].weight)
    save_file({"other": torch.zeros(1)}, tmp_path / "none.safetensors")
    with pytest.raises(DataError, match="no speech encoder"):
        sync.fresh(0, tmp_path / "none.safetensors")


def test_spoiled_figures() -> None:
    mouths = [made(name, 0) for name in "abcdef"]
    done = {
        "a": Spoil(wrong=True),
        "b": Spoil(wrong=True),
        "c": Spoil(late=5),
        "d": Spoil(late=-4),
        "e": Spoil(),
        "f": Spoil(),
    }

    def verdict(name: str, kept: bool, late: int) -> Verdict:
        return Verdict(name, kept, late, float(late), 0.1, 1.0, "" if kept else "low confidence")

    found = [
        verdict("a", False, 0), verdict("b", True, 3), verdict("c", True, 8), verdict("d", True, 1),
        verdict("e", True, 0), verdict("f", False, 0),
    ]  # fmt: skip
    # Clip c was three frames late to begin with.
    told = sync_filter.spoiled_figures(mouths, found, done, {"c": verdict("c", True, 3)})
    assert told["filter_dropped"] == told["filter_realigned"] == told["filter_kept"] == 0.5


def test_what_the_filter_finds_is_the_mean_of_several_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mouths = [made(f"clip{number}", number, 40) for number in range(20)]
    asked: list[list[str]] = []

    def judged(crew: object, belief: object, clips: list[Mouths]) -> list[Verdict]:
        """Drops half of the clips, whatever was done to them."""
        asked.append([one.clip.id for one in clips])
        return [Verdict(i, int(i[4:]) % 2 == 0, 0, 0.0, 0.1, 1.0, "") for i in asked[-1]]

    monkeypatch.setattr(sync_filter, "filter_clips", judged)
    crew, belief = sync_filter.Crew(()), Belief((0.0,))
    told = sync_filter.drawn_figures(crew, belief, mouths, [], tmp_path, 3)
    # Clips as they are, then four spoiled ones in each draw, other ones each time.
    assert [len(ids) for ids in asked] == [20] + [4] * sync_filter.DRAWS
    assert len({tuple(ids) for ids in asked}) > 3
    odd = [[int(i[4:]) % 2 for i in ids] for ids in asked[1:]]
    wrong = [[spoil(mouths, 3 + draw)[1][i].wrong for i in ids] for draw, ids in enumerate(asked[1:])]
    shares = [np.mean([o for o, w in zip(a, b, strict=True) if w]) for a, b in zip(odd, wrong, strict=True)]
    assert told["filter_dropped"] == pytest.approx(np.mean(shares)) and 0 < told["filter_dropped"] < 1
    assert told["filter_realigned"] == 0 and 0.3 < told["filter_kept"] < 0.7
    assert len(read_verdicts(tmp_path / "spoiled.csv")) == 20


def test_two_judges_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    data = make_data(tmp_path / "set", frames=60)
    runs = [tmp_path / name for name in ("one", "two")]
    for seed, run in enumerate(runs):
        run.mkdir()
        save_file(sync.fresh(seed).judge.state_dict(), run / "best.safetensors")
    (runs[0] / "one").mkdir(exist_ok=True)
    (runs[0] / "one" / "sync_mouth.onnx").write_bytes(b"stage")
    (runs[0] / "spoiled.json").write_text("{}")
    sync.average(runs, data, tmp_path / "both", report=quiet)
    # The stages that it is compared with come along.
    assert (tmp_path / "both" / "one" / "sync_mouth.onnx").read_bytes() == b"stage"
    assert (tmp_path / "both" / "spoiled.json").is_file()
    one = load_mouths(data, "val")[0]
    used = Discriminator(threads=1, folder=tmp_path / "both")
    cosine = (used.embed_mouths(one.pictures) * used.embed_speech(one.mel)).sum(1)[2:-2]
    apart = []
    for run in runs:
        mouth, speech = embed(sync.load(run), one)
        apart.append((mouth * speech).sum(1)[2:-2])
    np.testing.assert_allclose(cosine, np.mean(apart, 0), atol=2e-3)
    mouth, speech = embed(sync.load(tmp_path / "both"), one)
    np.testing.assert_allclose((mouth * speech).sum(1)[2:-2], cosine, atol=2e-3)
    with pytest.raises(DataError, match="two or more"):
        sync.average([runs[0], tmp_path / "both"], data, tmp_path / "three", report=quiet)


def test_encoders_of_two_trainings_do_not_mix(tmp_path: Path) -> None:
    export_sync(sync.fresh().judge, None, ABOUT, tmp_path)
    told = json.loads((tmp_path / "sync_speech.json").read_text())
    told["dimensions"]["features"] = 64
    (tmp_path / "sync_speech.json").write_text(json.dumps(told))
    with pytest.raises(WeightError, match="belong together"):
        Discriminator(threads=1, folder=tmp_path)


@pytest.mark.parametrize("reach", [2, 5])
def test_a_run_is_loaded_with_the_sound_it_heard(reach: int, tmp_path: Path) -> None:
    one = sync.fresh(0, None, SyncDimensions(speech_reach=reach)).judge
    save_file(one.state_dict(), tmp_path / "best.safetensors")
    assert sync.load(tmp_path).dimensions == one.dimensions
    both = {f"members.{k}.{name}": value.clone() for k in (0, 1) for name, value in one.state_dict().items()}
    save_file(both, tmp_path / "best.safetensors")
    assert sync.load(tmp_path).dimensions.speech_reach == reach


def test_another_network_is_no_discriminator(tmp_path: Path) -> None:
    ear = speech.fresh(0).encoder.state_dict()
    both = {f"members.{place}.{name}": value.clone() for place in (0, 1) for name, value in ear.items()}
    for given in (ear, both, {"x": torch.zeros(1)}):
        save_file(given, tmp_path / "best.safetensors")
        with pytest.raises(DataError, match="holds no sync discriminator; give a run folder"):
            sync.average([tmp_path, tmp_path], tmp_path, tmp_path / "out", report=quiet)
    (tmp_path / "best.safetensors").write_text("# Read me", "utf-8")
    for read in (lambda: sync.load(tmp_path), lambda: sync.fresh(0, tmp_path / "best.safetensors")):
        with pytest.raises(DataError, match="is no file of safetensors"):
            read()


def test_the_filter_starts_from_phones_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that learned the mouths of the clips would tell the filter what belongs to their sound."""
    started: list[tuple[object, ...]] = []

    class Enough(Exception):
        pass

    def crew(stage: sync.Stage, beginner: Callable[[int], object], *others: object, **settings: object) -> None:
        # What it hears less of a short clip's sound it has more of to compare.
        assert stage.rules.speech_reach == 2 and stage.rules.frames == 28
        beginner(10)
        raise Enough

    monkeypatch.setattr(sync, "load_mouths", lambda *_: [])
    monkeypatch.setattr(sync, "fresh", lambda *given: started.append(given))
    monkeypatch.setattr(sync, "run_stage", lambda *_, **__: None)
    monkeypatch.setattr(sync, "export_stage", lambda *_: None)
    monkeypatch.setattr(sync, "train_crew", crew)
    with pytest.raises(Enough):
        sync.main(tmp_path, tmp_path / "run", speech=tmp_path / "mouths", phones=tmp_path / "phones", report=quiet)
    assert started == [(0, tmp_path / "mouths"), (10, tmp_path / "phones", SyncDimensions(speech_reach=2))]


@pytest.fixture
def three_clips(monkeypatch: pytest.MonkeyPatch) -> list[Mouths]:
    """All that ``sync.main`` finds in its data folder."""
    mouths = [made(f"m{seed}", seed) for seed in range(3)]
    monkeypatch.setattr(sync, "load_mouths", lambda *_: mouths)
    return mouths


def decide(path: Path, mouths: list[Mouths], late: int) -> Path:
    clips = {one.clip.id: one.clip for one in mouths}
    write_verdicts(path, clips, [Verdict(name, True, late, late, 0.1, 0.9, "") for name in clips])
    return path


def test_decisions_of_another_run_are_read_before_anything_is_trained(
    tmp_path: Path, three_clips: list[Mouths], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):
        pass

    begun: list[dict[str, str]] = []

    def begin(*_: object, of: dict[str, str], **__: object) -> None:
        begun.append(of)
        if of != begun[0]:
            raise DataError("another run")

    def stop(*_: object) -> None:
        raise Enough

    monkeypatch.setattr(sync, "run_stage", begin)
    monkeypatch.setattr(sync, "export_stage", lambda *_: None)
    monkeypatch.setattr(sync, "filtered", stop)
    run, nonsense = tmp_path / "run", tmp_path / "nonsense.csv"
    nonsense.write_text("id,kept\nm0,perhaps\n", "utf-8")
    few = decide(tmp_path / "few.csv", three_clips[:2], 2)
    for given, said in ((nonsense, "is not what a filter decided"), (few, r"few.csv: says nothing of clip m2")):
        with pytest.raises(DataError, match=said):
            sync.main(tmp_path, run, set_two=given, report=quiet)
    assert not run.exists() and not begun
    own = decide(tmp_path / "own.csv", three_clips, 2)
    for _ in range(2):
        with pytest.raises(Enough):
            sync.main(tmp_path, run, set_two=own, report=quiet)
    assert (run / "set2.csv").read_bytes() == own.read_bytes() and begun[0] == begun[1]
    other = decide(tmp_path / "other.csv", three_clips, 1)
    with pytest.raises(DataError, match="the run began with it; give another --out"):
        sync.main(tmp_path, run, set_two=other, report=quiet)
    assert (run / "set2.csv").read_bytes() == own.read_bytes()
    # A run that began without is not given any by a call that is refused.
    begun.clear()
    with pytest.raises(Enough):
        sync.main(tmp_path, tmp_path / "alone", report=quiet)
    with pytest.raises(DataError, match="another run"):
        sync.main(tmp_path, tmp_path / "alone", set_two=own, report=quiet)
    assert not (tmp_path / "alone" / "set2.csv").exists()


def test_a_run_goes_on_with_what_it_started_from(
    tmp_path: Path, three_clips: list[Mouths], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or its card would not tell where it comes from."""
    monkeypatch.setattr(sync, "export_stage", lambda *_: None)
    (tmp_path / "ears").mkdir()
    save_file(speech.fresh(0).state_dict(), tmp_path / "ears" / "best.safetensors")
    kept = {"recipe": recipe(), "report": quiet}

    class Enough(Exception):
        pass

    def stop(*_: object) -> None:
        raise Enough

    monkeypatch.setattr(sync, "filtered", stop)
    with pytest.raises(Enough):
        sync.main(tmp_path, tmp_path / "run", speech=tmp_path / "ears" / "best.safetensors", **kept)
    with pytest.raises(DataError, match=r"another configuration \(origin.speech \w+, now None\)"):
        sync.main(tmp_path, tmp_path / "run", **kept)


def test_a_card_gives_the_command_that_was_run() -> None:
    told = sync._command(sync.RECIPE, Path("a/mine"), Path("b/ears/best.safetensors"), Path("c/set2.csv"))
    assert told == "kouxing train sync --data DATA --speech runs/ears --set2 SET2 --out runs/mine"
    seeded = {name: stage.seeded(3) for name, stage in sync.RECIPE.items()}
    assert sync._command(seeded, Path("sync"), None, None) == "kouxing train sync --data DATA --seed 3 --out runs/sync"


def test_the_commands_tell_settings_and_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", "sync", "--data", "x", "--steps", "7", "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {stage["schedule"]["steps"] for stage in told["stages"].values()} == {7}
    assert (told["set2"], told["baseline"], told["spoiled"]) == (None, False, False)
    assert cli.run(["train", "sync", "--data", "x", "--set2", "y", "--baseline", "--spoiled", "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["set2"], told["baseline"], told["spoiled"]) == ("y", True, True)
    for words in (["train", "sync"], ["train", "judges", "--run", "a", "--run", "b"], ["evaluate", "sync"]):
        assert cli.run([*words, "--data", str(tmp_path)]) == 2
        assert "manifest.csv" in capsys.readouterr().err
