"""Settings for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Many tests run side by side with other work: networks and linear algebra shall not each take all cores.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own settings must not decide whether tests pass."""
    own = ("PROVIDER", "SIGN_CERTIFICATE", "SIGN_KEY", "THREADS", "TRACEBACK", "WEIGHTS")
    for name in (f"KOUXING_{one}" for one in own):
        monkeypatch.delenv(name, raising=False)
