"""File jobs: their folders, their processes, their ends. Nothing that a client sends becomes a path."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kouxing.server.deadline import within
from kouxing.server.limits import Limits
from kouxing.server.protocol import Refused

LOG = logging.getLogger("kouxing.server")
FILES = {"dub": ("face", "speech"), "score": ("video",), "animate": ("speech",)}
"""Kind of job -> the files that it needs."""
OVER = ("done", "failed", "cancelled")
SWEEP_S = 10.0
END_S = 1.0
LONGEST_LINE = 1 << 20
COMMAND = (sys.executable, "-m", "kouxing.server.job_worker")


@dataclass
class Job:
    """One job.

    Attributes:
        name: its id. kind: one of ``FILES``. folder: its own, private. options: checked.
        state: ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``.
        stage, done, total: progress. error: one line. results: names of files in ``folder``. warnings: lines that the
            user should read beside them.
    """

    name: str
    kind: str
    folder: Path
    files: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    state: str = "receiving"
    stage: str | None = None
    done: int = 0
    total: int | None = None
    error: str | None = None
    results: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    ended_s: float | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def told(self) -> dict[str, Any]:
        """JSON values."""
        keys = ("kind", "state", "stage", "done", "total", "error")
        lists = {"results": list(self.results), "warnings": list(self.warnings)}
        return {"id": self.name, **{key: getattr(self, key) for key in keys}, **lists}

    def change(self, **values: Any) -> None:
        """Set attributes and wake who waits for that."""
        for name, value in values.items():
            setattr(self, name, value)
        self.changed.set()
        self.changed = asyncio.Event()


class Jobs:
    """All jobs of a server.

    Args:
        limits: how many, and how long they are kept.
        command: of a job's process; for tests.
    """

    def __init__(self, limits: Limits, command: Sequence[str] = COMMAND) -> None:
        self.limits = limits
        self._command = tuple(command)
        self._folder: Path | None = None
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(limits.jobs_running)
        self._sweeper: asyncio.Task[None] | None = None

    def make(self, kind: str) -> Job:
        """A job that waits for its files.

        Raises:
            Refused: as many as may be are there.
        """
        if sum(job.state not in OVER for job in self._jobs.values()) >= self.limits.jobs:
            raise Refused("busy", f"{self.limits.jobs} jobs wait or run already; try later")
        if self._folder is None:
            # Only this user may look into it.
            self._folder = Path(tempfile.mkdtemp(prefix="kouxing-jobs-"))
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        name = secrets.token_hex(16)
        folder = self._folder / name
        # Machines that sweep their temporary files take ours with them.
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        job = Job(name, kind, folder)
        self._jobs[name] = job
        return job

    def start(self, job: Job) -> None:
        """Its files are there."""
        job.change(state="queued")
        self._tasks[job.name] = asyncio.get_running_loop().create_task(self._run(job))

    def get(self, name: str) -> Job:
        """By its id.

        Raises:
            Refused: there is none.
        """
        job = self._jobs.get(name)
        if job is None or job.state == "receiving":
            raise Refused("job", "there is no such job, or it was removed")
        return job

    def all(self) -> list[Job]:
        """All jobs."""
        return [job for job in self._jobs.values() if job.state != "receiving"]

    async def remove(self, job: Job) -> None:
        """Cancel it where it is not over, and forget its files."""
        task = self._tasks.pop(job.name, None)
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if job.state not in OVER:
            job.change(state="cancelled", ended_s=time.monotonic())
        self._jobs.pop(job.name, None)
        await asyncio.to_thread(shutil.rmtree, job.folder, True)

    async def watch(self, job: Job) -> AsyncIterator[dict[str, Any]]:
        """Its state now and after each change, until it is over."""
        while True:
            changed = job.changed
            yield job.told()
            if job.state in OVER:
                return
            await changed.wait()

    async def close(self) -> None:
        """End all."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for job in list(self._jobs.values()):
            await self.remove(job)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _run(self, job: Job) -> None:
        async with self._turns:
            job.change(state="running")
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                    limit=LONGEST_LINE, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                LOG.error("a job's process cannot be started: %s", error)
                told = f"the job's process cannot be started ({error.strerror}); try again later"
                job.change(state="failed", error=told, ended_s=time.monotonic())
                await asyncio.to_thread(_keep_only, job.folder, ())
                return
            try:
                await within(self._follow(job, process), self.limits.job_s)
            except TimeoutError:
                job.change(
                    state="failed", error=f"stopped after {self.limits.job_s / 3600:g} hours; send a shorter file"
                )
            finally:
                if process.returncode is None:
                    _end(process.pid)
                    await process.wait()
                    if process.stdout is not None:
                        # To its end, so that the pipe is closed now and not when somebody collects it.
                        with suppress(TimeoutError):
                            await within(process.stdout.read(), END_S)
                if job.state not in OVER:
                    job.change(state="cancelled")
                job.ended_s = time.monotonic()
                await asyncio.to_thread(_keep_only, job.folder, job.results)

    async def _follow(self, job: Job, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        order = {
            "kind": job.kind, "folder": str(job.folder), "files": job.files, "options": job.options,
            "most_s": self.limits.upload_s,
        }  # fmt: skip
        with suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(json.dumps(order).encode() + b"\n")
            await process.stdin.drain()
        process.stdin.close()
        with suppress(BrokenPipeError, ConnectionResetError):
            await process.stdin.wait_closed()
        results: list[str] | None = None
        warnings: list[str] = []
        error = "the job's process ended before its work was done"
        async for line in process.stdout:
            told = json.loads(line)
            if "stage" in told:
                job.change(**told)
            results, warnings = told.get("results", results), told.get("warnings", warnings)
            error = told.get("error", error)
        await process.wait()
        if results is not None and process.returncode == 0:
            job.change(state="done", results=tuple(results), warnings=tuple(warnings), error=None)
        else:
            job.change(state="failed", error=error)

    async def _sweep(self) -> None:
        """Remove what nobody fetched."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = time.monotonic()
            for job in list(self._jobs.values()):
                if job.ended_s is not None and now - job.ended_s > self.limits.job_keep_s:
                    await self.remove(job)


def _end(pid: int) -> None:
    """A job's process and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)


def _keep_only(folder: Path, names: Sequence[str]) -> None:
    """Remove a job's inputs and what was left half done."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name in names:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
