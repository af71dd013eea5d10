"""Sequential modulation, subsets and reach of ``multimodal``."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kouxing.infer.multimodal import REACH
from kouxing.models.multimodal import JOINS, MODALITIES, Chain, Multimodal, MultimodalDimensions, MultimodalStep

SMALL = MultimodalDimensions(trunk=12, seen=8, width=16)


def small(joins: str = "modulation") -> Multimodal:
    torch.manual_seed(0)
    return Multimodal(MultimodalDimensions(trunk=12, seen=8, width=16, joins=joins)).eval()


def rows(steps: int, seed: int = 0) -> list[Tensor]:
    chance = torch.Generator().manual_seed(seed)
    widths = (SMALL.text, SMALL.heard, SMALL.trunk, SMALL.bands, SMALL.clear, SMALL.seen)
    return [torch.randn(1, steps, width, generator=chance) for width in widths]


def there(*names: str, steps: int = 20) -> Tensor:
    return torch.tensor([float(name in names) for name in MODALITIES]).expand(1, steps, -1)


def test_each_modality_is_modulated_by_the_mouth_before_it() -> None:
    torch.manual_seed(1)
    chain = Chain(6, 2)
    text, speech, mouth = torch.randn(3, 1, 4, 6)
    before = chain.preset
    for place, feature in ((0, text), (1, speech)):
        scale, shift = chain.gammas[place](before), chain.betas[place](before)
        before = chain.after[place](scale * F.layer_norm(feature, (6,)) + shift)
    made = chain([text, speech, mouth], there("text", "speech", steps=4), (0, 1, 2))
    assert torch.allclose(made, before.expand_as(made), atol=1e-6)


@pytest.mark.parametrize("joins", JOINS)
@pytest.mark.parametrize("names", [("text",), ("speech",), ("mouth",), ("text", "mouth"), MODALITIES])
def test_what_is_not_there_does_not_count_and_what_is_does(joins: str, names: tuple[str, ...]) -> None:
    model, given, other = small(joins), rows(20), rows(20, 1)
    columns = {"text": (0,), "speech": (1, 2, 3, 4), "mouth": (5,)}
    absent = {place for name in MODALITIES if name not in names for place in columns[name]}
    changed = [other[place] if place in absent else given[place] for place in range(6)]
    whole = model(*given, there(*names))
    for one, same in zip(whole, model(*changed, there(*names)), strict=True):
        assert torch.allclose(one, same, atol=1e-6)
    for name in names:
        moved = [other[place] if place in columns[name] else given[place] for place in range(6)]
        assert not torch.allclose(whole[2], model(*moved, there(*names))[2], atol=1e-4)


def test_any_order_gives_a_mouth_and_the_order_matters() -> None:
    model, given = small(), rows(20)
    made = [model(*given, there(*MODALITIES), order=order)[3] for order in permutations(range(3))]
    assert all(one.shape == (1, 20, 16) and torch.isfinite(one).all() for one in made)
    assert not torch.allclose(made[0], made[-1], atol=1e-3)


def test_nothing_reaches_farther_than_told() -> None:
    model, given = small(), rows(80)
    present = there(*MODALITIES, steps=80)
    changed = [one.clone() for one in given]
    for one in changed:
        one[:, 40] += 5
    near = slice(40 - REACH, 40 + REACH + 1)
    for one, other in zip(
        MultimodalStep(model)(*given, present), MultimodalStep(model)(*changed, present), strict=True
    ):
        moved = (one - other).abs().amax(-1)[0] > 1e-6
        assert moved[40] and not moved[: near.start].any() and not moved[near.stop :].any()


def test_the_ways_of_joining_are_about_equally_large() -> None:
    sizes = [
        sum(value.numel() for value in Multimodal(MultimodalDimensions(joins=joins)).join.parameters())
        for joins in JOINS
    ]
    assert max(sizes) < 1.01 * min(sizes)


def test_coefficients_are_coefficients() -> None:
    values, geometry, joint = MultimodalStep(small())(*(5 * one for one in rows(20)), there(*MODALITIES))
    assert values.shape == (1, 20, 52) and geometry.shape == (1, 20, 16) and joint.shape == (1, 20, 16)
    assert values.min() >= 0 and values.max() <= 1
    with pytest.raises(ValueError, match="joins"):
        Multimodal(MultimodalDimensions(joins="sum"))
