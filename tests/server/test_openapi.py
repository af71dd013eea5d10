"""What ``/openapi.json`` promises, asked of a server by schemathesis: no fault, no answer that it does not name."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("aiortc")
pytest.importorskip("schemathesis")

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from kouxing.server.limits import Limits
from kouxing.server.serve import bind, server_of
from server.make_openapi import PLACE, answers, whole

LIMITS = Limits(sessions=4, jobs=3, http_hz=0)
EXAMPLES = 4
WANTED = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance",
)  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with everything but worker processes."""
    model = tmp_path_factory.mktemp("model") / "face_landmarker.task"
    model.write_bytes(b"model")
    # What jobs do is others' business: these fail at once.
    app = whole(LIMITS, model, (sys.executable, "-S", "-c", "raise SystemExit(2)"))
    running = server_of(app)
    bound = bind("127.0.0.1", 0)
    ready = threading.Event()
    app.state.live.when_ready = ready.set
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
    thread.start()
    assert ready.wait(30)
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    running.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def test_the_stored_openapi_is_that_of_the_server() -> None:
    stored = json.loads(PLACE.read_text(encoding="utf-8"))
    assert answers(stored) == answers(whole().openapi()), "run python tests/server/make_openapi.py"


def test_the_server_keeps_what_its_openapi_says(url: str) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    load_all_checks()
    checks = CHECKS.get_by_names(WANTED)
    asked: list[str] = []
    name = httpx.post(f"{url}/v1/sessions", json={}).json()["session"]
    for found in schema.get_all_operations():
        operation = found.ok()
        asked.append(operation.label)
        _ask(operation, GenerationMode.POSITIVE, name, checks)
        if operation.method == "post":
            _ask(operation, GenerationMode.NEGATIVE, name, checks)
    assert len(asked) > 15 and "POST /v1/jobs/dub" in asked and "GET /v1/models/face_landmarker.task" in asked


def _ask(operation: Any, mode: GenerationMode, name: str, checks: Any) -> None:
    @seed(7)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def story(case: Any) -> None:
        case.call_and_validate(checks=checks)
        if "name" in case.path_parameters and operation.path.startswith("/v1/sessions"):
            # Names by chance are never those of a session.
            case.path_parameters["name"] = name
            case.call_and_validate(checks=checks)

    # Where anything may be asked, nothing can be asked wrongly.
    with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
        story()
