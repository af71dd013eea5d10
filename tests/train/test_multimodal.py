"""A training step of ``multimodal`` and its losses, on made-up clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kouxing.data.animate import Take  # noqa: E402
from kouxing.data.multimodal import Clip, MultimodalWindows  # noqa: E402
from kouxing.data.multimodal_heard import Version  # noqa: E402
from kouxing.losses.multimodal import contrastive  # noqa: E402
from kouxing.models.multimodal import JOINS, Multimodal, MultimodalDimensions  # noqa: E402
from kouxing.train.multimodal import HeldOut, MultimodalTask, predict  # noqa: E402


def world() -> tuple[list[Clip], list[Version]]:
    rng = np.random.default_rng(0)
    clips, heard = [], []
    for number, frames in enumerate((30, 45, 60)):
        one = Take(
            name=f"c{number}", group="grid", speaker="s", mel=rng.normal(size=(4 * frames, 80)).astype(np.float32),
            values=(rng.random((frames, 52)) * 0.3).astype(np.float32), channels=np.ones(52, bool),
            gap=rng.random(frames).astype(np.float32), silent=np.zeros(frames, bool), found=np.ones(frames, bool),
        )  # fmt: skip
        geometry = rng.normal(size=(frames, 16)).astype(np.float32)
        pictures = rng.integers(0, 255, (frames, 48, 64), dtype=np.uint8)
        clips.append(Clip(one, geometry, rng.random((frames, 19)).astype(np.float32), pictures if number else None))
        rows = (rng.normal(size=(frames, width)).astype(np.float16) for width in (16, 12, 80, 6, 19))
        heard.append(Version(*rows, np.zeros(frames, bool)))
    return clips, heard


@pytest.mark.parametrize("joins", JOINS)
def test_a_step_teaches_every_part_and_loss_falls(joins: str) -> None:
    clips, heard = world()
    torch.manual_seed(0)
    model = Multimodal(MultimodalDimensions(trunk=12, seen=8, width=16, joins=joins))
    task = MultimodalTask(
        model, MultimodalWindows(clips, [heard], 30, 10, 0), HeldOut(clips, heard, heard), np.ones(52)
    )
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    batch, losses = task.batch(0), []
    assert len(batch["shows"])
    for _ in range(8):
        loss, figures = task.step(model, batch, 0.0)
        optimiser.zero_grad()
        loss.backward()
        assert all(value.grad is not None for value in model.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] and ("multimodal/contrastive" in figures) == (joins == "contrastive")


def test_held_out_figures_name_subset_and_sound(tmp_path_factory: pytest.TempPathFactory) -> None:
    clips, heard = world()
    model = Multimodal(MultimodalDimensions(trunk=12, seen=8, width=16))
    task = MultimodalTask(model, MultimodalWindows(clips, [heard], 30, 4, 0), HeldOut(clips, heard, heard), np.ones(52))
    figures = task.validate(model, tmp_path_factory.mktemp("run"), 1)
    assert {"val/ts_grid_r", "val/ts_0db_grid_f1", "val/m_grid_r", "score"} <= figures.keys()
    assert "val/t_0db_grid_r" not in figures


def test_beside_sound_a_text_lies_where_that_sound_has_it_and_does_not_count_where_it_is_not_heard() -> None:
    clips, heard = world()
    model = Multimodal(MultimodalDimensions(trunk=12, seen=8, width=16))
    later = replace(heard[0], text=np.roll(heard[0].text, 9, 0))
    gone = replace(heard[0], text=np.full_like(heard[0].text, np.nan))

    def made(version: Version, there: tuple[int, ...]) -> np.ndarray:
        return predict(model, clips[0], version, there)[1]

    assert not np.allclose(made(heard[0], (1, 1, 0)), made(later, (1, 1, 0)))
    assert np.array_equal(made(heard[0], (1, 0, 0)), made(later, (1, 0, 0)))
    assert np.array_equal(made(gone, (1, 1, 0)), made(gone, (0, 1, 0)))


def test_the_shared_space_draws_moments_together() -> None:
    chance = torch.Generator().manual_seed(0)
    one = torch.nn.functional.normalize(torch.randn(2, 20, 8, generator=chance), dim=-1)
    other = torch.nn.functional.normalize(torch.randn(2, 20, 8, generator=chance), dim=-1)
    there = torch.ones(2, 20, 2)
    assert contrastive([one, one], there) < 0.5 * contrastive([one, other], there)
    there[..., 1] = 0
    assert contrastive([one, other], there) == 0
