"""The recipes end to end on a tiny drawn data set: train, export, and run what was exported without PyTorch's model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fake_data import ANCHORS, make_data
from kouxing import weights
from kouxing.audio.encoder import SpeechEncoder as Heard
from kouxing.data.footage import load_footage
from kouxing.errors import DataError
from kouxing.face.landmarks import CHIN, NOSE
from kouxing.infer.lips import LipsNetwork
from kouxing.infer.references import References
from kouxing.models.lips import PRESETS, Lips
from kouxing.models.speech import Ears, SpeechDimensions, SpeechEncoder
from kouxing.models.sync import Discriminator, SyncDimensions
from kouxing.text import mbrola
from kouxing.train import lips, phones, shape, speech
from kouxing.train.card import about, further_sources, inherited
from kouxing.train.export import export_lips, export_speech
from kouxing.train.loop import BEST, Schedule, write_aside
from kouxing.units import SAMPLE_HZ

TINY = Schedule(steps=3, batch=4, warmup=1, validate_every=2)
ABOUT = {"units": {}, "recipe": "test", "commit": "none", "data": [], "licence": "none", "figures": {}}


def quiet(_: str) -> None:
    pass


def test_speech_then_lips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shape, "SCHEDULE", TINY)
    monkeypatch.setattr(phones, "UTTERANCES", 6)
    monkeypatch.setattr(mbrola, "voices", dict)
    data = make_data(tmp_path / "set")
    speech.main(data, tmp_path / "speech", schedule=TINY, report=quiet)
    told = weights.card("speech", tmp_path / "speech")
    sources = [source["source"] for source in told["data"]]
    changes = "--steps 3 --batch 4 --precision 32-true"
    assert told["recipe"] == f"kouxing train speech --data DATA {changes} --out runs/speech"
    assert sources[0] == "made" and told["data"][0]["seconds"] == 3 and told["licence"] == "Apache-2.0"
    monkeypatch.setattr(mbrola, "voices", lambda: {"us1": "en-us"})
    assert "non-commercial" in about(data, "", {}, {}, further_sources(data))["licence"]
    monkeypatch.setattr(mbrola, "voices", dict)
    model = lips.main(data, tmp_path / "lips", schedule=TINY, report=quiet)
    assert (tmp_path / "lips" / "samples-000003.png").exists()
    # A frozen discriminator may judge as well; it looks at five frames in a row.
    (tmp_path / "judge").mkdir()
    write_aside(tmp_path / "judge" / BEST, Discriminator(SyncDimensions()).state_dict(), {})
    judged = {"judge": tmp_path / "judge", "schedule": replace(TINY, steps=1, batch=5)}
    told_lines: list[str] = []
    lips.main(data, tmp_path / "judged", **judged, report=told_lines.append)
    assert any("lips/sync" in line for line in told_lines)
    recipe = weights.card("lips_fast_frame", tmp_path / "judged")["recipe"]
    changes = "--steps 1 --batch 5 --rate 0.0001 --precision 32-true"
    assert recipe.endswith(f"--judge runs/judge {changes} --out runs/judged")
    # A run that is stopped has no card; what it learns from is there.
    (tmp_path / "judged" / "lips_fast_frame.json").unlink()
    (tmp_path / "judged" / "lips_fast_references.json").unlink()
    sources = {source["source"] for source in inherited(tmp_path / "judged" / BEST)}
    assert {"made", "judge, which nothing tells of"} <= sources
    # Another network may teach; its files are enough.
    taught = {"teacher": tmp_path / "lips", "schedule": replace(TINY, steps=1)}
    told_lines.clear()
    lips.main(data, tmp_path / "taught", **taught, report=told_lines.append)
    assert any("lips/teacher" in line for line in told_lines)
    assert " --teacher runs/lips " in weights.card("lips_fast_frame", tmp_path / "taught")["recipe"]
    # A network goes on from its exported files, under an exported judge.
    best = load_file(tmp_path / "taught" / BEST)
    (tmp_path / "taught" / BEST).unlink()
    exported = lips._begun(tmp_path / "taught", "fast")
    assert exported.keys() >= best.keys()
    for name, value in best.items():
        torch.testing.assert_close(exported[name], value, atol=1e-3, rtol=1e-2)
    told_lines.clear()
    begun = {"start": tmp_path / "taught", "judge": weights.SHIPPED, "schedule": replace(TINY, steps=1, batch=5)}
    lips.main(data, tmp_path / "begun", **begun, report=told_lines.append)
    assert any("tensors taken over" in line for line in told_lines)
    assert any("lips/sync" in line for line in told_lines)
    card = weights.card("lips_fast_frame", tmp_path / "begun")
    assert " --start runs/taught --judge SHIPPED " in card["recipe"]
    sources = {source["source"] for source in card["data"]}
    assert {source["source"] for source in weights.card("sync_mouth")["data"]} <= sources
    assert {source["source"] for source in weights.card("multimodal_ear")["data"]} <= sources
    # Warm start of another preset takes over what fits.
    fine = Lips(PRESETS["fine"])
    assert lips._take_over(fine, load_file(tmp_path / "lips" / "best.safetensors")) > 50
    torch.testing.assert_close(
        fine.state_dict()["frame_encoder.down.0.weight"], model.state_dict()["frame_encoder.down.0.weight"]
    )


def test_what_hears_with_an_encoder_needs_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train speech"):
        speech.load(tmp_path)


def test_two_ears_are_their_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUXING_CACHE", str(tmp_path / "cache"))
    data = make_data(tmp_path / "set")
    runs = [tmp_path / name for name in ("one", "two")]
    for seed, run in enumerate(runs):
        run.mkdir()
        write_aside(run / BEST, speech.fresh(seed).encoder.state_dict(), {})
    both = speech.average(runs, data, tmp_path / "both", report=quiet)
    clip = load_footage(data, "val")[0]
    apart = [speech.predict(speech.load(run), clip) for run in runs]
    # What comes back has the numbers of the exported file, in 8 bits.
    np.testing.assert_allclose(speech.predict(both, clip), np.mean(apart, 0), atol=1e-2)
    np.testing.assert_allclose(speech.predict(speech.load(tmp_path / "both"), clip), np.mean(apart, 0), atol=1e-3)
    with pytest.raises(DataError, match="two or more"):
        speech.average([runs[0], tmp_path / "both"], data, tmp_path / "three", report=quiet)


def test_another_network_than_asked_for_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lips, "load_footage", lambda *_: pytest.fail("clips are made ready"))
    run, text = tmp_path / "speech", tmp_path / "README.md"
    run.mkdir()
    write_aside(run / BEST, speech.fresh(0).encoder.state_dict(), {})
    text.write_text("# Read me", "utf-8")
    for option, given, said in (
        ("start", run, "holds another network than lips"),
        ("start", text, "is no file of safetensors"),
        ("judge", run, "holds no sync discriminator"),
        ("lipreader", run, "is no lip reader"),
        ("vgg19", run / BEST, "is not torchvision's VGG-19"),
        ("vgg19", text, "is no file of safetensors"),
    ):
        with pytest.raises(DataError, match=said):
            lips.main(tmp_path, tmp_path / "run", **{option: given}, report=quiet)
    (run / BEST).write_text("# Read me", "utf-8")
    with pytest.raises(DataError, match="is no lip reader"):
        lips.main(tmp_path, tmp_path / "run", lipreader=run, report=quiet)


def test_ears_that_hear_in_different_ways_have_no_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = iter([speech.fresh(0).encoder, speech.fresh(0, speech.LIVE).encoder])
    monkeypatch.setattr(speech, "load", lambda _: next(heard))
    with pytest.raises(DataError, match="hear in different ways"):
        speech.average([tmp_path, tmp_path], tmp_path, tmp_path / "out", report=quiet)


@pytest.mark.parametrize("members", [1, 2])
def test_exported_speech_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder, members: int
) -> None:
    torch.manual_seed(0)
    ears = [SpeechEncoder(SpeechDimensions()) for _ in range(members)]
    model = Ears(ears) if members > 1 else ears[0]
    assert export_speech(model, ABOUT, tmp_path) <= 1e-3
    assert not recwarn.list
    monkeypatch.setenv("KOUXING_WEIGHTS", str(tmp_path))
    encoder = Heard(threads=1)
    sound = np.random.default_rng(0).normal(0, 0.1, int(2.13 * SAMPLE_HZ)).astype(np.float32)
    whole = encoder.stream()
    wanted = np.concatenate([whole.push(sound), whole.finish()])
    assert wanted.shape == (54, 16)
    chunks, parts = encoder.stream(), []
    for first in range(0, len(sound), 1111):
        parts.append(chunks.push(sound[first : first + 1111]))
    parts.append(chunks.finish())
    np.testing.assert_allclose(np.concatenate(parts), wanted, atol=1e-5)


@pytest.mark.parametrize("preset", ["fast", "fine"])
def test_exported_lips_paints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str) -> None:
    torch.manual_seed(0)
    assert export_lips(Lips(PRESETS[preset]), preset, ABOUT, tmp_path) <= 1e-3
    monkeypatch.setenv("KOUXING_WEIGHTS", str(tmp_path))
    network = LipsNetwork(preset, threads=1)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (3, 256, 256, 3), np.uint8)
    features = rng.normal(size=(11, 16)).astype(np.float32)
    with pytest.raises(ValueError, match="set_references"):
        network.paint(crops[0], ANCHORS, features)
    geometry, anchors = np.zeros((3, 16), np.float32), np.stack([ANCHORS] * 3)
    network.set_references(References(crops, geometry, anchors))
    made = network.paint(crops[0], ANCHORS, features)
    assert made.shape == (256, 256, 3) and made.dtype == np.uint8
    np.testing.assert_array_equal(made[:128], crops[0][:128])
    # The lower half of the frame is not looked at: no leak.
    hidden = crops[0].copy()
    hidden[128:] = 0
    np.testing.assert_array_equal(network.paint(hidden, ANCHORS, features), made)
    # Nor is the chin, which would tell of the mouth; the other points tell of the head's turn.
    for place, counts in ((CHIN, False), (NOSE, True)):
        shifted = ANCHORS.copy()
        shifted[place] += 20
        assert (network.paint(crops[0], shifted, features) != made).any() == counts
    with pytest.raises(ValueError, match="references must be"):
        network.set_references(References(crops[:2], geometry[:2], anchors[:2]))
