"""The phone network behind a front, with a small untrained one that was exported on the spot."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kouxing.audio import phone_ear  # noqa: E402
from kouxing.audio.phone_ear import PhoneEar  # noqa: E402
from kouxing.errors import WeightError  # noqa: E402
from kouxing.models.multimodal import Multimodal, MultimodalDimensions  # noqa: E402
from kouxing.models.speech import SpeechDimensions  # noqa: E402
from kouxing.train.export_multimodal import export_multimodal  # noqa: E402
from kouxing.train.phone_ear import fresh, heard  # noqa: E402

SIZE = SpeechDimensions(bands=12, width=24, hidden=24, steps=1)
FRONT = cast(Any, SimpleNamespace(name="front", card={"sha256": "a"}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("weights")
    card = {"units": {}, "recipe": "", "commit": "", "data": [], "licence": "", "figures": {}, "front": "a"}
    export_multimodal(Multimodal(MultimodalDimensions(trunk=48, seen=8, width=16)), fresh(0, SIZE), card, made)
    return made


def test_it_hears_as_in_training_however_long_its_parts_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(70, 12)).astype(np.float32)
    ear = PhoneEar(FRONT, 1, folder)
    whole = ear.hear(rows)
    assert whole.log_probs.shape == (280, 16) and whole.trunk.shape == (70, 48)
    np.testing.assert_allclose(np.exp(whole.log_probs).sum(1), 1, atol=1e-5)
    log_probs, trunk = heard(fresh(0, SIZE), rows)
    # Stored in 8 bits.
    assert np.abs(whole.log_probs - log_probs).max() < 0.1 and np.abs(whole.trunk - trunk).max() < 0.1
    monkeypatch.setattr(phone_ear, "AT_ONCE", 16)
    parts = ear.hear(rows)
    np.testing.assert_allclose(parts.log_probs, whole.log_probs, atol=1e-5)
    np.testing.assert_allclose(parts.trunk, whole.trunk, atol=1e-5)
    with pytest.raises(ValueError, match="at least 1"):
        ear.hear(rows[:0])


def test_weights_of_an_older_kind_are_told_in_one_line(tmp_path: Path) -> None:
    old = fresh(0, SpeechDimensions(width=24, hidden=24))
    card = {"units": {}, "recipe": "", "commit": "", "data": [], "licence": "", "figures": {}}
    with pytest.raises(WeightError):
        # Its rows are log-mel: neither is it exported any more, nor loaded.
        export_multimodal(Multimodal(MultimodalDimensions(trunk=48, seen=8, width=16)), old, card, tmp_path)
        PhoneEar(FRONT, 1, tmp_path)


def test_another_front_than_the_one_it_learned_behind_is_refused(folder: Path) -> None:
    other = cast(Any, SimpleNamespace(name="front", card={"sha256": "b"}))
    with pytest.raises(WeightError, match="another `front`"):
        PhoneEar(other, 1, folder)
