"""File jobs with processes of our own making: progress, cancelling, dying, hanging, being forgotten."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

import httpx

from kouxing.server import jobs as module
from kouxing.server.app import create_app
from kouxing.server.job_routes import _ending, job_router
from kouxing.server.jobs import Job, Jobs
from kouxing.server.limits import Limits
from kouxing.server.live import Live
from kouxing.server.protocol import Refused
from kouxing.server.security import Guard
from server.live_world import PoolAtHand

READ = (
    "import json, sys, time, os, pathlib\norder = json.loads(sys.stdin.readline())\n"
    "folder = pathlib.Path(order['folder'])\n"
)
WORKS = READ + (
    "print(json.dumps({'stage': 'look', 'done': 1, 'total': 2}), flush=True)\n"
    "(folder / 'out.txt').write_text('made')\n(folder / 'half').write_text('x')\n"
    "print(json.dumps({'results': ['out.txt']}), flush=True)\n"
)
HANGS = READ + (
    "import subprocess\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])\n"
    "print(json.dumps({'stage': str(child.pid), 'done': 0, 'total': None}), flush=True)\ntime.sleep(100)\n"
)
DIES = READ + "os.kill(os.getpid(), 9)\n"
FAILS = READ + "print(json.dumps({'error': 'speech: has no sound'}), flush=True)\nsys.exit(2)\n"


def play(script: str, story: Callable[[Jobs], Awaitable[Any]], **limits: Any) -> Any:
    """Run a story with jobs whose process is ``script``."""

    async def run() -> Any:
        jobs = Jobs(Limits(**limits), [sys.executable, "-c", script])
        try:
            return await asyncio.wait_for(story(jobs), 30)
        finally:
            folder = jobs._folder
            await jobs.close()
            assert folder is None or not folder.exists()

    return asyncio.run(run())


async def over(jobs: Jobs, job: Job) -> list[dict[str, Any]]:
    jobs.start(job)
    return [told async for told in jobs.watch(job)]


def test_a_job_tells_its_progress_and_keeps_its_results_only() -> None:
    async def story(jobs: Jobs) -> None:
        job = jobs.make("animate")
        assert (job.folder.stat().st_mode & 0o777) == 0o700
        with pytest.raises(Refused):
            jobs.get(job.name)
        told = await over(jobs, job)
        assert told[0]["state"] == "queued" and told[-1]["state"] == "done"
        assert any(one["stage"] == "look" and one["total"] == 2 for one in told)
        await asyncio.sleep(0.2)
        assert [path.name for path in job.folder.iterdir()] == ["out.txt"]
        assert jobs.get(job.name).results == ("out.txt",)
        await jobs.remove(job)
        assert not job.folder.exists()
        with pytest.raises(Refused):
            jobs.get(job.name)

    play(WORKS, story)


def test_swept_temporary_files_cost_what_lay_there_alone() -> None:
    async def story(jobs: Jobs) -> None:
        first = jobs.make("animate")
        shutil.rmtree(first.folder.parent)
        told = await over(jobs, jobs.make("animate"))
        assert told[-1]["state"] == "done"

    play(WORKS, story)


@pytest.mark.parametrize(("script", "error"), [(DIES, "ended before"), (FAILS, "speech: has no sound")])
def test_a_job_that_fails_says_why(script: str, error: str) -> None:
    async def story(jobs: Jobs) -> None:
        told = await over(jobs, jobs.make("score"))
        assert told[-1]["state"] == "failed" and error in told[-1]["error"]

    play(script, story)


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
def test_a_job_whose_process_cannot_be_started_says_so_and_takes_no_place() -> None:
    async def run() -> None:
        jobs = Jobs(Limits(jobs=1), ["/no/such/program"])
        try:
            for _ in range(2):
                told = await asyncio.wait_for(over(jobs, jobs.make("score")), 10)
                assert told[-1]["state"] == "failed" and "cannot be started" in told[-1]["error"]
        finally:
            await jobs.close()

    asyncio.run(run())


def test_a_cancelled_job_ends_with_all_its_processes() -> None:
    async def story(jobs: Jobs) -> None:
        job = jobs.make("dub")
        jobs.start(job)
        while job.stage is None:
            await asyncio.sleep(0.02)
        child = int(job.stage)
        await jobs.remove(job)
        assert job.state == "cancelled"
        for _ in range(100):
            if not _runs(child):
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the job's child still runs")

    play(HANGS, story)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_job_that_hangs_is_stopped() -> None:
    async def story(jobs: Jobs) -> None:
        told = await over(jobs, jobs.make("dub"))
        assert told[-1]["state"] == "failed" and "stopped after" in told[-1]["error"]

    play(HANGS, story, job_s=1.0)


def test_jobs_wait_their_turn_and_there_are_no_more_than_may_be() -> None:
    async def story(jobs: Jobs) -> None:
        first, second = jobs.make("dub"), jobs.make("dub")
        with pytest.raises(Refused) as caught:
            jobs.make("dub")
        assert caught.value.code == "busy"
        jobs.start(first)
        jobs.start(second)
        while first.stage is None:
            await asyncio.sleep(0.02)
        assert second.state == "queued"
        await jobs.remove(first)
        while second.stage is None:
            await asyncio.sleep(0.02)

    play(HANGS, story, jobs=2)


def test_results_that_nobody_fetches_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_S", 0.05)

    async def story(jobs: Jobs) -> None:
        job = jobs.make("animate")
        await over(jobs, job)
        while job.folder.exists():
            await asyncio.sleep(0.02)

    play(WORKS, story, job_keep_s=0.1)


@pytest.mark.parametrize(
    ("pause_s", "limits", "told"),
    [
        (0.01, {"upload_whole_s": 0.3}, "was not complete after 0.3 s"),
        (60.0, {"upload_idle_s": 0.1}, "stood still for 0.1 s"),
    ],
    ids=["drips", "stands"],
)
def test_an_upload_that_does_not_end_gives_its_place_back(pause_s: float, limits: dict[str, float], told: str) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="speech"; filename="a.wav"\r\n\r\n'
        for _ in range(1000):
            yield b"x"
            await asyncio.sleep(pause_s)

    async def story(jobs: Jobs) -> None:
        live = Live(PoolAtHand(), Guard("127.0.0.1"), jobs.limits)  # type: ignore[arg-type]
        transport = httpx.ASGITransport(create_app(live, [job_router(jobs)], Path("nowhere")))
        form = {"content-type": "multipart/form-data; boundary=x"}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            # The only place is free again each time.
            for _ in range(2):
                answer = await client.post("/v1/jobs/animate", content=slowly(), headers=form)
                error = answer.json()["error"]
                assert answer.status_code == 400 and error["code"] == "timeout", error
                assert told in error["message"] and "\n" not in error["message"]

    play(WORKS, story, jobs=1, **limits)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a.MP4", ".mp4"),
        ("../../x.wav", ".wav"),
        ("a.mp4/../../b", ""),
        ("a.exe", ""),
        (None, ""),
        ("a.wav\0.sh", ""),
    ],
)
def test_of_a_clients_name_only_a_known_ending_is_kept(name: str | None, kept: str) -> None:
    assert _ending(name) == kept
    assert os.sep not in _ending(name)
