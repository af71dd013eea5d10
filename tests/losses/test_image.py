"""Losses on pictures: zero for equal ones, and each sees what it is for."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from kouxing.losses import image

REAL = torch.rand(4, 3, 32, 32)
ALL = torch.ones(4, 1, 32, 32)


def test_equal_pictures_cost_nothing() -> None:
    for loss in (image.reconstruction, image.gradient, image.texture):
        assert loss(REAL, REAL, ALL) == 0
    assert image.frame_difference(REAL, REAL, ALL, 2) == 0
    assert image.perceptual(REAL, REAL, lambda x: [x]) == 0


def test_weight_says_what_counts() -> None:
    weight = torch.zeros_like(ALL)
    weight[:, :, :16] = 1
    other = REAL.clone()
    other[:, :, 20:] = 0
    assert image.reconstruction(other, REAL, weight) == 0
    assert image.reconstruction(other, REAL, ALL) > 0


def test_gradient_forgives_brightness_texture_sees_blur() -> None:
    assert image.gradient(REAL + 0.1, REAL, ALL) < 1e-6
    blurred = F.avg_pool2d(REAL, 3, 1, 1)
    shifted = REAL.roll(1, 3)
    assert image.texture(blurred, REAL, ALL) > 3 * image.texture(shifted, REAL, ALL)


def test_frame_difference_sees_flicker_only() -> None:
    assert image.frame_difference(REAL + 0.1, REAL, ALL, 2) < 1e-6
    flicker = REAL.clone()
    flicker[1::2] += 0.1
    assert torch.isclose(image.frame_difference(flicker, REAL, ALL, 2), torch.tensor(0.1), atol=1e-5)
    assert image.frame_difference(flicker, REAL, ALL, 1) == 0


def test_perceptual_looks_at_three_scales() -> None:
    seen: list[int] = []

    def features(x: torch.Tensor) -> list[torch.Tensor]:
        seen.append(x.shape[-1])
        return [x]

    assert image.perceptual(REAL, 1 - REAL, features) > 0
    assert set(seen) == {32, 16, 8}
    assert image.feature_difference([REAL, REAL], [REAL, REAL + 1]) == 0.5


def test_vgg19_has_the_published_layers() -> None:
    network = image.Vgg19(width=16)
    names = [name for name in network.state_dict() if name.endswith("weight")]
    assert names[0] == "features.0.weight" and names[-1] == "features.34.weight" and len(names) == 16
    maps = network(REAL)
    assert [m.shape[1] * 16 for m in maps] == [64, 128, 256, 512, 512]
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 4, 2]


def test_indecision() -> None:
    even = torch.full((2, 3, 4, 4), 1 / 3)
    sure = torch.zeros(2, 3, 4, 4)
    sure[:, 1] = 1
    weight = torch.ones(2, 1, 4, 4)
    assert torch.isclose(image.indecision(even, weight), torch.tensor(1.0), atol=1e-4)
    assert image.indecision(sure, weight) < 1e-4
    half = torch.cat([even[..., :2], sure[..., 2:]], -1)
    weight[..., :2] = 0
    assert image.indecision(half, weight) < 1e-4


def test_misplaced_measures_a_warp_at_tracked_points() -> None:
    here = torch.rand(2, 2, 7, 2) * 0.8 - 0.4
    here[..., 1] = here[..., 1].abs() + 0.1
    shift = torch.tensor([0.1, -0.05])
    places = torch.cat([here, here + shift], -1)
    flow = shift.reshape(1, 1, 2, 1, 1).expand(2, 2, 2, 32, 64).reshape(2, 4, 32, 64)
    assert image.misplaced(flow, places) < 1e-6
    torch.testing.assert_close(image.misplaced(0 * flow, places), torch.tensor(0.075))
    # A flow that is right at the points only: each place is looked up where it lies.
    ramp = torch.linspace(-1 + 1 / 64, 1 - 1 / 64, 64).expand(2, 1, 32, 64)
    sloped = torch.cat([ramp, 0 * ramp] * 2, 1)
    there = here + torch.stack([here[..., 0], 0 * here[..., 1]], -1)
    assert image.misplaced(sloped, torch.cat([here, there], -1)) < 1e-5
    # What lies above the lower half does not count.
    above = places.clone()
    above[:, :, 0, 1] = -0.5
    above[:, :, 0, 2:] += 9
    assert image.misplaced(flow, above) < 1e-6
