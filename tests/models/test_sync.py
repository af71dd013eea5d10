"""The discriminator: each row sees its own window and nothing else, vectors are of length 1, sizes stay small."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kouxing.face.mouth_picture import mouth_picture
from kouxing.models.sync import Discriminator, Judges, MouthEncoder, Pupil, SpeechSide, SyncDimensions, mouth_pictures

SMALL = SyncDimensions(channels=(4, 6, 8, 8), heard=12, hidden=10, features=8, speech_reach=2)


def small(seed: int = 0, dimensions: SyncDimensions = SMALL) -> Discriminator:
    torch.manual_seed(seed)
    return Discriminator(dimensions).eval()


@torch.no_grad()
def test_shapes_and_unit_rows() -> None:
    model = small()
    mouth, speech = model(torch.rand(2, 12, 48, 64), torch.randn(2, 12 * 4, 80))
    assert mouth.shape == speech.shape == (2, 8, 8)
    for rows in (mouth, speech):
        torch.testing.assert_close(rows.norm(dim=-1), torch.ones(2, 8))


@torch.no_grad()
@pytest.mark.parametrize("reach", [2, 3])
def test_a_row_sees_its_window_only(reach: int) -> None:
    size = SyncDimensions(channels=(4, 6, 8, 8), heard=12, hidden=10, features=8, speech_reach=reach)
    model = small(dimensions=size)
    pictures, mel = torch.rand(1, 15, 48, 64), torch.randn(1, 15 * 4, 80)
    mouth, speech = model(pictures, mel)
    assert mouth.shape[1] == 15 - 2 * size.mouth_reach and speech.shape[1] == 15 - 2 * reach
    # A part of the clip gives the same rows as the whole: no end leaves a mark.
    torch.testing.assert_close(model.mouth(pictures[:, 4:11]), mouth[:, 4:7])
    torch.testing.assert_close(model.speech(mel[:, 4 * 4 : 12 * 4]), speech[:, 4 : 12 - 2 * reach])
    pictures[:, 9:], mel[:, 11 * 4 :] = 0, 5
    changed = model(pictures, mel)
    torch.testing.assert_close(changed[0][:, :5], mouth[:, :5])
    assert (changed[0][:, 5] - mouth[:, 5]).abs().max() > 1e-4
    torch.testing.assert_close(changed[1][:, : 11 - 2 * reach], speech[:, : 11 - 2 * reach])
    assert (changed[1][:, 11 - 2 * reach] - speech[:, 11 - 2 * reach]).abs().max() > 1e-4


@torch.no_grad()
def test_light_and_contrast_do_not_matter() -> None:
    model, pictures = small(), torch.rand(1, 9, 48, 64)
    torch.testing.assert_close(model.mouth(pictures), model.mouth(pictures * 0.5 + 0.2), atol=0.2, rtol=0)
    cosine = (model.mouth(pictures) * model.mouth(pictures * 0.5 + 0.2)).sum(-1)
    assert cosine.min() > 0.97


@torch.no_grad()
def test_judges_are_the_mean_of_their_cosines() -> None:
    members = [small(seed) for seed in (0, 1, 2)]
    both = Judges(members).eval()
    pictures, mel = torch.rand(1, 9, 48, 64), torch.randn(1, 9 * 4, 80)
    mouth, speech = both(pictures, mel)
    assert both.dimensions.members == 3 and mouth.shape[-1] == both.dimensions.features == 24
    apart = torch.stack([(a * b).sum(-1) for a, b in (member(pictures, mel) for member in members)]).mean(0)
    torch.testing.assert_close((mouth * speech).sum(-1), apart)
    torch.testing.assert_close(mouth.norm(dim=-1), torch.ones(1, 5))
    with pytest.raises(ValueError, match="one shape"):
        Judges([small(), Discriminator(SyncDimensions())])


def test_size_and_dimensions() -> None:
    model = Discriminator(SyncDimensions())
    assert sum(p.numel() for p in model.parameters()) * 2 < 5e6
    assert SyncDimensions.of(SMALL.as_dict()) == SMALL and SyncDimensions().mouth_frames == 5
    with pytest.raises(ValueError, match="speech_reach"):
        SpeechSide(SyncDimensions(speech_reach=0))


def test_pupil_tells_geometry_and_learns_everywhere() -> None:
    pupil = Pupil(Discriminator(SMALL), 16)
    mouth, speech, seen, heard = pupil(torch.rand(2, 7, 48, 64), torch.randn(2, 7 * 4, 80))
    assert seen.shape == heard.shape == (2, 3, 16)
    ((mouth * speech).sum() + seen.sum() + heard.sum()).backward()
    missing = [name for name, p in pupil.named_parameters() if p.grad is None and not name.endswith("log_scale")]
    assert not missing and "margin" in pupil.state_dict()
    assert isinstance(pupil.judge.mouth, MouthEncoder)


def test_pictures_of_crops_are_those_of_the_scorer() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    made = mouth_pictures(torch.from_numpy(crop).permute(2, 0, 1)[None, None].float() / 255)
    np.testing.assert_allclose(made[0, 0].numpy() * 255, mouth_picture(crop), atol=1.01)
    with pytest.raises(ValueError, match="256"):
        mouth_pictures(torch.zeros(1, 5, 3, 128, 256))
