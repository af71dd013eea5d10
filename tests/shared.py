"""Real footage beside the project, for tests that want it; they are skipped where it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"

needs_shared = pytest.mark.skipif(
    not (SHARED / "data" / "manifest.csv").exists(), reason=f"real footage is missing: no {SHARED}/data/manifest.csv"
)
