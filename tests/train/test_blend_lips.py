"""A network that takes more features begins as the one before, and a mean of two lies between them."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from kouxing.models.lips import Lips, LipsDimensions  # noqa: E402
from kouxing.train.fit import _keep_phones  # noqa: E402
from kouxing.train.lips import with_phones  # noqa: E402
from scripts import script  # noqa: E402

NARROW = LipsDimensions(features=16, encoder=(8, 8, 8, 8, 8), fusion=16, drive=16, decoder=(8, 8, 8, 8, 8))


def test_further_features_are_not_looked_at_first() -> None:
    torch.manual_seed(0)
    before, after = Lips(NARROW).eval(), Lips(replace(NARROW, features=31)).eval()
    after.load_state_dict(with_phones(before.state_dict(), after.dimensions))
    frame, references = torch.rand(1, 3, 256, 256), torch.rand(3, 3, 256, 256)
    audio, own, stances = torch.randn(1, 11, 31), torch.randn(1, 3, 31), torch.randn(1, 4, 14)
    with torch.no_grad():
        old = before(frame, references, audio[..., :16], own[..., :16], stances)[0]
        new = after(frame, references, audio, own, stances)[0]
    torch.testing.assert_close(new, old)
    assert with_phones(after.state_dict(), after.dimensions).keys() == after.state_dict().keys()


def test_a_fit_does_not_learn_phones_by_heart() -> None:
    model = Lips(replace(NARROW, features=31))
    _keep_phones(model)
    frame, references = torch.rand(1, 3, 256, 256), torch.rand(3, 3, 256, 256)
    given = (torch.randn(1, 11, 31), torch.randn(1, 3, 31), torch.randn(1, 4, 14))
    model(frame, references, *given)[0].sum().backward()
    tokens, drive = model.fusion.adapter[0].weight.grad, model.fusion.drive[0].weight.grad
    assert tokens is not None and drive is not None
    rows = drive[:, : 14 * 31].reshape(len(drive), 14, 31)
    assert not tokens[:, 16:].any() and not rows[..., 16:].any()
    assert tokens[:, :16].any() and rows[..., :16].any() and drive[:, 14 * 31 :].any()


def test_a_mean_lies_between() -> None:
    blend = script("recipes/blend_lips.py")
    first, second = ({"a": torch.full((2,), value), "n": torch.tensor(int(value))} for value in (1.0, 3.0))
    made = blend.blended(first, second, 0.75)
    assert made["a"].tolist() == [1.5, 1.5] and made["n"] == 1
