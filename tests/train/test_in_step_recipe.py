"""``recipes/in_step.py``: words and clips in the wild are moved where the discriminator is sure, studio clips never."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kouxing.face.offset import Calibration
from kouxing.types import Bytes, Float
from scripts import script
from sync_clips import made


class Judge:
    """Sees how open a mouth is, hears how loud it is said, in directions that only like values share."""

    calibration = Calibration(10.0)

    def embed_mouths(self, pictures: Bytes) -> Float:
        return self._unit((pictures[:, :, 32] > 200).sum(1) / 34)

    def embed_speech(self, mel: Float) -> Float:
        return self._unit((mel.reshape(-1, 4, 80)[:, 0] > 0).sum(1) / 68)

    def _unit(self, values: np.ndarray) -> Float:
        near = np.exp(-0.5 * ((values[:, None] - np.linspace(0, 1, 12)) / 0.06) ** 2)
        return np.asarray(near / np.linalg.norm(near, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("late", [-3, 0, 2])
def test_a_sure_offset_is_told(late: int) -> None:
    recipe = script("recipes/in_step.py")
    told = recipe.verdict(made("clip", 1).shifted(late), Judge())
    assert told.kept and told.late == late


def test_studio_clips_and_far_off_ones_stay() -> None:
    recipe = script("recipes/in_step.py")
    clip = made("clip", 1).shifted(3)
    studio = replace(clip, clip=replace(clip.clip, corpus="GRID"))
    assert studio.clip.group == "grid" and recipe.verdict(studio, Judge()).late == 0
    assert recipe.verdict(made("clip", 1).shifted(9), Judge()).late == 0


def test_what_is_unsure_stays() -> None:
    """Sound of another clip: some lag is always the best."""
    recipe = script("recipes/in_step.py")
    told = [recipe.verdict(replace(made("clip", seed), mel=made("other", 50 + seed).mel), Judge()) for seed in range(8)]
    assert sum(one.late != 0 for one in told) <= 1
