"""The generator: shapes, the upper-half mask, one pass for runs of frames, what the starting weights do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kouxing.models.lips import (
    LUMA,
    MOST_BLUE,
    MOST_GREEN,
    MOST_RED,
    MOST_VIOLET,
    MOST_YELLOW,
    PRESETS,
    Lips,
    LipsDimensions,
    lower,
    mixed_neighbours,
    mouth_hue,
    neighbours,
    upsample,
    warp,
)
from kouxing.units import CROP_PX, HALF_PX

SMALL = LipsDimensions(encoder=(8, 8, 12, 16, 16), fusion=16, drive=16, decoder=(16, 12, 8, 8, 8))


def smooth(count: int) -> torch.Tensor:
    return upsample(torch.rand(count, 3, 16, 16), 16)


def inputs(batch: int, size: LipsDimensions) -> tuple[torch.Tensor, ...]:
    frame = smooth(batch)
    frame[:, :, HALF_PX:] = 0
    audio = torch.randn(batch, size.window, size.features)
    own, stances = (
        torch.randn(batch, size.references, size.features),
        torch.randn(batch, 1 + size.references, size.stance),
    )
    return frame, smooth(batch * size.references), audio, own, 0.1 * stances


@pytest.mark.parametrize("spade", [False, True])
@torch.no_grad()
def test_paints_the_lower_half(spade: bool) -> None:
    size = replace(SMALL, spade=spade)
    made, trust, flow = Lips(size)(*inputs(2, size))
    torch.testing.assert_close(trust.sum(1), torch.ones(2, 32, 64))
    assert made.shape == (2, 3, HALF_PX, CROP_PX) and flow.shape == (2, 6, 32, 64)
    assert made.min() >= 0 and made.max() <= 1


@torch.no_grad()
def test_two_stages_equal_one() -> None:
    model = Lips(SMALL).eval()
    frame, references, audio, own, stances = inputs(2, SMALL)
    staged = model.paint(frame, references, model.encode(references), audio, own, stances)
    torch.testing.assert_close(staged, model(frame, references, audio, own, stances)[0])


@torch.no_grad()
def test_a_run_of_frames_shares_its_references() -> None:
    model = Lips(SMALL).eval()
    frame, references, audio, own, stances = inputs(2, SMALL)
    twice = [x.repeat_interleave(2, 0) for x in (frame, audio, stances)]
    doubled = model(twice[0], references, twice[1], own, twice[2])[0]
    torch.testing.assert_close(doubled[::2], model(frame, references, audio, own, stances)[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_untrained_it_shows_the_references() -> None:
    model = Lips(SMALL).eval()
    frame, _, audio, own, stances = inputs(1, SMALL)
    picture = smooth(1)
    made, _, _ = model(frame, picture.repeat(3, 1, 1, 1), audio, own, stances)
    assert (made - lower(picture)).abs().mean() < 0.06


@torch.no_grad()
def test_audio_takes_from_the_lower_halves_only() -> None:
    torch.manual_seed(1)
    fusion = Lips(SMALL).eval().fusion
    audio = torch.randn(1, SMALL.window + SMALL.references, SMALL.features)
    stances = torch.zeros(1, 1 + SMALL.references, SMALL.stance)
    image = torch.randn(1, SMALL.encoder[-1] * (1 + SMALL.references), 8, 8)
    other = image.clone()
    other[:, :, :4] += 3
    # Places of the lower half see the upper one only through audio; audio must not have looked there.
    torch.testing.assert_close(
        lower(fusion(audio, image, stances)[0]), lower(fusion(audio, other, stances)[0]), atol=1e-4, rtol=1e-3
    )
    other = image.clone()
    other[:, :, 4:5] += 3
    assert not torch.allclose(
        fusion(audio, image, stances)[0][:, :, 5:], fusion(audio, other, stances)[0][:, :, 5:], atol=1e-3
    )


def test_warp_without_flow_is_the_picture() -> None:
    picture = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(warp(picture, torch.zeros(1, 2, 32, 64), 0.5), picture[:, :, 32:], atol=1e-5, rtol=1e-4)


def test_warp_looks_where_the_flow_points() -> None:
    picture = torch.zeros(1, 1, 64, 64)
    picture[..., 40, 20] = 1
    flow = torch.zeros(1, 2, 32, 64)
    flow[:, 0] = 4 / 32  # four pixels to the right
    assert warp(picture, flow, 0.5)[0, 0].argmax() == (40 - 32) * 64 + 16


def test_neighbours_tell_what_warps_take() -> None:
    torch.manual_seed(0)
    pictures = torch.randint(0, 256, (3, 3, CROP_PX, CROP_PX)).to(torch.uint8)
    # Up to far beyond every edge.
    flow = upsample(torch.randn(1, 6, 8, 16), 16)
    flow[:, :, :, :4] -= 2
    flow[:, :, -4:] += 2
    trust = upsample(torch.randn(1, 3, 8, 16), 16).softmax(1)
    wanted = Lips._mix(pictures.float() / 255, flow, trust, 3)
    torch.testing.assert_close(mixed_neighbours(neighbours(pictures), flow, trust), wanted, atol=2e-4, rtol=0)


def test_paint_is_red_to_grey_unless_references_are_not() -> None:
    def pixel(*colour: float) -> torch.Tensor:
        return torch.tensor(colour).reshape(1, 3, 1, 1)

    skin = pixel(0.8, 0.6, 0.5)
    for mouth in (pixel(0.9, 0.88, 0.85), pixel(0.15, 0.08, 0.07), pixel(0.7, 0.45, 0.4)):
        torch.testing.assert_close(mouth_hue(mouth, skin), mouth)
    green, violet = mouth_hue(pixel(0.2, 0.8, 0.3), skin), mouth_hue(pixel(0.5, 0.3, 0.9), skin)
    torch.testing.assert_close(green, pixel(0.2, 0.2 + MOST_GREEN, 0.2 + MOST_BLUE))
    torch.testing.assert_close(violet, pixel(0.5, 0.3, 0.3 + MOST_VIOLET))
    purple = pixel(0.7, 0.5, 0.7)
    torch.testing.assert_close(mouth_hue(purple, skin), pixel(0.7, 0.5, 0.5 + MOST_VIOLET))
    torch.testing.assert_close(mouth_hue(purple, pixel(0.6, 0.4, 0.6)), purple)
    ochre, lips, tooth = pixel(0.6, 0.5, 0.25), pixel(0.7, 0.5, 0.5), pixel(0.7, 0.6, 0.4)
    torch.testing.assert_close(mouth_hue(ochre, lips), pixel(0.6, 0.5, 0.5 - MOST_YELLOW))
    torch.testing.assert_close(mouth_hue(ochre, tooth), pixel(0.6, 0.5, 0.3))
    scarlet, lipstick = pixel(0.9, 0.1, 0.14), pixel(0.9, 0.1, 0.12)
    paler = mouth_hue(scarlet, skin)
    assert float(paler[0, 0] - paler[0, 1]) == pytest.approx(MOST_RED)
    for one in (paler, scarlet):
        assert float((one.flatten() * torch.tensor(LUMA)).sum()) == pytest.approx(0.3438, abs=1e-3)
    torch.testing.assert_close(mouth_hue(scarlet, lipstick), scarlet)
    shirt = pixel(0.1, 0.3, 0.7)
    torch.testing.assert_close(mouth_hue(shirt, shirt), shirt)


def test_every_parameter_learns() -> None:
    for size in (SMALL, replace(SMALL, spade=True)):
        model = Lips(size)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.1)
        made, _, flow = model(*inputs(1, size))
        (made.square().mean() + flow.square().mean()).backward()
        idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        # A key's bias shifts all scores alike, which softmax forgets.
        assert [name for name in idle if not name.endswith("key.bias")] == []


@torch.no_grad()
def test_fine_begins_where_fast_ended() -> None:
    fast, fine = Lips(SMALL).eval(), Lips(replace(SMALL, spade=True)).eval()
    known = fast.state_dict()
    assert set(known) < set(fine.state_dict())
    fine.load_state_dict(fine.state_dict() | known)
    given = inputs(2, SMALL)
    assert float((fine(*given)[0] - fast(*given)[0]).abs().max()) < 0.02


def test_presets_differ_as_promised() -> None:
    assert PRESETS["fine"].spade and not PRESETS["fast"].spade
    assert PRESETS["fast"].references == 3 and PRESETS["fast"].window == 11
