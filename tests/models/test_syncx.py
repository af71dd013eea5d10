"""The larger encoders: torchvision's names and size, windows as the small ones, a Whisper made on the spot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kouxing.data.sync_windows import SyncWindows, WindowRules
from kouxing.data.whisper import RATE, WhisperEar
from kouxing.errors import OptionError
from kouxing.losses.sync import Falses
from kouxing.models.sync import Pupil
from kouxing.models.syncx import ResNeXt, build, take_over
from kouxing.train.sync_task import Growth, SyncTask, embed
from kouxing.units import SAMPLE_HZ
from sync_clips import made


def tiny(states: int = 12) -> Pupil:
    torch.manual_seed(0)
    return Pupil(build(states, RATE, ResNeXt((1, 1, 1, 1), width=16, groups=4)), 16)


def test_resnext_has_torchvisions_names_and_size() -> None:
    body = ResNeXt()
    # torchvision's resnext50_32x4d has 25,028,904 parameters, 2,049,000 of them the classifier's.
    assert sum(p.numel() for p in body.parameters()) == 25_028_904 - 2_049_000
    names = set(body.state_dict())
    assert {
        "conv1.weight",
        "layer1.0.downsample.0.weight",
        "layer3.5.conv2.weight",
        "layer4.2.bn3.running_var",
    } <= names
    assert body.state_dict()["layer1.0.conv2.weight"].shape == (128, 4, 3, 3)
    take_over(body, {**body.state_dict(), "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)})
    with pytest.raises(RuntimeError):
        take_over(body, {"conv1.weight": torch.zeros(64, 3, 7, 7)})


@torch.no_grad()
def test_windows_are_the_small_ones() -> None:
    judge = tiny().judge.eval()
    # The same 7 moments: 5 pictures and 11 frames of states around each.
    pictures, states = torch.rand(1, 11, 48, 64), torch.randn(1, 2 * 17, 12)
    mouth, speech = judge(pictures, states)
    assert mouth.shape == speech.shape == (1, 7, 256)
    torch.testing.assert_close(judge.mouth(pictures[:, 2:9]), mouth[:, 2:5], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(judge.speech(states[:, 4:30]), speech[:, 2:5])


def test_it_trains_on_states() -> None:
    clips = []
    for seed in range(3):
        one = made(f"m{seed}", seed, 40)
        clips.append(replace(one, mel=np.repeat(one.aperture, RATE)[:, None] * np.ones((1, 12), np.float32)))
    windows = SyncWindows(clips, 4, WindowRules(rows=10), 0)
    pupil = tiny()
    task = SyncTask(pupil, windows, clips, Falses(), Growth())
    loss, told = task.step(pupil.train(), task.batch(0), 0.0)
    loss.backward()
    assert torch.isfinite(loss) and told["sync/pairs"] > 0
    mouth, speech = embed(pupil.judge, clips[0])
    assert mouth.shape == speech.shape == (40, 256) and np.isfinite(speech[5:-5]).all()


def test_whisper_made_on_the_spot(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.WhisperConfig(
        vocab_size=30, d_model=12, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    transformers.WhisperModel(config).save_pretrained(tmp_path)
    transformers.WhisperFeatureExtractor().save_pretrained(tmp_path)
    ear = WhisperEar(tmp_path)
    samples = np.random.default_rng(0).normal(0, 0.1, 2 * SAMPLE_HZ).astype(np.float32)
    assert ear.states == 12 and ear(samples, 50).shape == (100, 12)
    assert ear(samples, 800).shape == (1600, 12) and np.isfinite(ear(np.zeros(0, np.float32), 5)).all()


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--whisper"):
        WhisperEar(tmp_path)
