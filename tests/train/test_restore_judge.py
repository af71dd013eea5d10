"""The shipped discriminator judges as PyTorch model as it does in ONNX Runtime, and lets gradients through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kouxing import weights
from kouxing.errors import WeightError
from kouxing.infer.discriminator import MOUTH, SPEECH
from kouxing.losses.sync import expert_loss
from kouxing.models.sync import Discriminator, Judges, SyncDimensions
from kouxing.train.export_sync import export_sync
from kouxing.train.restore_judge import judge

ABOUT = {"units": {}, "recipe": "test", "commit": "none", "data": [], "licence": "none", "figures": {}}


def trained() -> Discriminator:
    """One whose norms have seen something; equal ones would be kept once."""
    made = Discriminator(SyncDimensions(speech_reach=3))
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.uniform_(module.bias)
    return made


def vectors(folder: Path | None, pictures: np.ndarray, mel: np.ndarray) -> list[np.ndarray]:
    sessions = [weights.session(name, threads=1, folder=folder)[0] for name in (MOUTH, SPEECH)]
    given = ({"pictures": pictures}, {"mel": mel})
    return [session.run(None, one)[0] for session, one in zip(sessions, given, strict=True)]


@pytest.mark.parametrize("members", [0, 1, 2])
def test_judges_as_exported(members: int, tmp_path: Path) -> None:
    """0: the shipped one."""
    folder = None
    if members:
        torch.manual_seed(members)
        made = [trained() for _ in range(members)]
        folder = tmp_path
        export_sync(made[0] if members == 1 else Judges(made), None, ABOUT, folder)
    rng = np.random.default_rng(0)
    pictures, mel = rng.integers(0, 256, (1, 14, 48, 64), np.uint8), rng.normal(size=(1, 80, 80)).astype(np.float32)
    model = judge(folder)
    with torch.no_grad():
        seen, heard = model(torch.from_numpy(pictures).float() / 255.0, torch.from_numpy(mel))
    for found, wanted in zip((seen, heard), vectors(folder, pictures, mel), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


def test_gradients_reach_the_pictures() -> None:
    model = judge().requires_grad_(False)
    crops = torch.rand(1, 5, 3, 256, 256, requires_grad=True)
    expert_loss(model, crops, torch.randn(1, 4 * 15, 80)).backward()
    assert crops.grad is not None and crops.grad.abs().max() > 0


def test_another_network_is_refused(tmp_path: Path) -> None:
    export_sync(trained(), None, ABOUT, tmp_path)
    judge(tmp_path)
    told = weights.card(MOUTH, tmp_path)
    content = weights.content(MOUTH, tmp_path)
    weights.save(MOUTH, content, {**told, "dimensions": {**told["dimensions"], "channels": [24, 48, 96, 64]}}, tmp_path)
    with pytest.raises(WeightError, match="not of this program's discriminator"):
        judge(tmp_path)
    (tmp_path / f"{SPEECH}.onnx").unlink()
    with pytest.raises(WeightError):
        judge(tmp_path)
