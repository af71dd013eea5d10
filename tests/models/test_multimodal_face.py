"""The face generator of ``multimodal``: both variants, which modalities count, and taking over ``lips``."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from kouxing.models.lips import PRESETS, Lips  # noqa: E402
from kouxing.models.multimodal import Chain  # noqa: E402
from kouxing.models.multimodal_face import VARIANTS, FaceChain, FaceMaker, Targets, packed  # noqa: E402

WIDTH = 6


def given(batch: int = 2) -> dict[str, Tensor]:
    chance = torch.Generator().manual_seed(0)
    frame = torch.rand(batch, 3, 256, 256, generator=chance)
    frame[:, :, 128:] = 0
    return {
        "frame": frame, "references": torch.rand(batch, 3, 256, 256, generator=chance),
        "mouths": torch.randn(batch, 1, 3, WIDTH, generator=chance),
        "stances": 0.01 * torch.randn(batch, 2, 14, generator=chance),
    }  # fmt: skip


def painted(model: FaceMaker, rows: dict[str, Tensor], present: Tensor) -> Tensor:
    own = torch.zeros(len(rows["frame"]), 0, 3 * (WIDTH + 1))
    audio = packed(rows["mouths"], present[:, None])
    return model(rows["frame"], rows["references"], audio, own, rows["stances"])[0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_modality_counts_where_it_is_there_and_only_there(variant: str) -> None:
    torch.manual_seed(0)
    model, rows = FaceMaker(variant, WIDTH).eval().requires_grad_(False), given(1)
    present = torch.tensor([[1.0, 0, 1]])
    one = painted(model, rows, present)
    assert one.shape == (1, 3, 128, 256) and float(one.min()) >= 0 and float(one.max()) <= 1
    drives = []
    for place in range(3):
        changed = {**rows, "mouths": rows["mouths"].clone()}
        changed["mouths"][:, :, place] += 3.0
        drives.append(float((painted(model, changed, present) - one).abs().max()))
    assert drives[0] > 0 and drives[1] == 0 and drives[2] > 0


@pytest.mark.parametrize("meet", [Targets(WIDTH, 8), FaceChain(WIDTH, 8)])
def test_without_any_modality_the_face_vector_stays(meet: torch.nn.Module) -> None:
    face, mouths = torch.randn(3, 8), torch.randn(3, 3, WIDTH)
    nothing = meet(face, mouths, torch.zeros(3, 3))
    # A residual connection: the chain adds what it ends with, which then is the face itself.
    assert torch.allclose(nothing, face if isinstance(meet, Targets) else 2 * face)
    order = meet(face, mouths, torch.ones(3, 3))
    assert not torch.allclose(order, meet(face, mouths.flip(1), torch.ones(3, 3)))


def test_the_chain_starts_from_the_face() -> None:
    torch.manual_seed(1)
    meet, mouths = FaceChain(WIDTH, 8), torch.randn(1, 3, WIDTH)
    one, other = torch.randn(2, 1, 8)
    there = torch.tensor([[1.0, 1, 1]])
    assert not torch.allclose(meet(one, mouths, there) - one, meet(other, mouths, there) - other, atol=1e-4)


def test_lips_with_one_picture_thrice_is_taken_over() -> None:
    torch.manual_seed(0)
    lips = Lips(PRESETS["fast"]).eval()
    model = FaceMaker("targets", WIDTH).eval()
    assert model.take_over(lips) > 100
    rows = given(1)
    with torch.no_grad():
        thrice = rows["references"].expand(3, -1, -1, -1)
        maps, theirs = model.encode(rows["references"]), lips.encode(thrice)
        assert torch.allclose(maps[3], theirs[3][:1], atol=1e-5)
        deep = torch.cat([theirs[3][:1], theirs[3].flatten(0, 1)[None]], 1)
        assert torch.allclose(model.fusion.image(deep[:, :256]), lips.fusion.image(deep), atol=1e-3)
        x, drive = torch.randn(1, 128, 4, 8), torch.randn(1, 128)
        guide = torch.randn(1, 96, 8, 16)
        wide = torch.cat([guide] * 4, 1)
        assert torch.allclose(model._level(0, x, wide[:, :192], drive), lips._level(0, x, wide, drive), atol=1e-4)


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(ValueError, match="variant"):
        FaceMaker("both")


def test_each_mouth_feature_of_the_chain_ends_in_the_last() -> None:
    chain = Chain(8, 2)
    features, present = [torch.randn(1, 5, 8) for _ in range(3)], torch.ones(1, 5, 3)
    each = chain.each(features, present, (2, 0, 1))
    assert set(each) == {0, 1, 2} and torch.equal(each[1], chain(features, present, (2, 0, 1)))
