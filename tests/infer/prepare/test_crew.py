"""Worker processes: what dies takes nothing with it, and nobody outlives the one who asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infer.prepare.strange import work
from kouxing.errors import OutputError
from kouxing.infer.prepare.crew import FAULT, Crew, Failed

TESTS = Path(__file__).parents[2]


def test_a_task_that_kills_its_process_fails_alone(tmp_path: Path) -> None:
    tasks = ["good", f"once {tmp_path / 'mark'}", "die", "file", "fault", "good", "good"]
    with Crew(2) as crew:
        made = dict(crew.each(work, tasks))
        # The same processes go on with the next step.
        assert dict(crew.each(work, ["good"])) == {0: "good done"}
    assert sorted(made) == list(range(len(tasks)))
    assert [made[n] for n in (0, 1, 5, 6)] == ["good done", "once done", "good done", "good done"]
    reasons = [made[n].reason for n in (2, 3, 4) if isinstance(made[n], Failed)]
    assert reasons == [
        "the process that read it died 2 times (signal 9)",
        "a.mp4 is no video",
        f"{FAULT} ValueError: two lines",
    ]


@pytest.mark.parametrize("jobs", [0, 1])
def test_what_concerns_all_stops_all(jobs: int) -> None:
    with Crew(jobs) as crew, pytest.raises(OutputError, match="the disk is full"):
        list(crew.each(work, ["good", "full", "good"]))


def test_without_processes() -> None:
    with Crew(0) as crew:
        made = dict(crew.each(work, ["good", "file"]))
    assert made == {0: "good done", 1: Failed("a.mp4 is no video")}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_workers_follow_a_killed_parent(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = tmp_path / "parent.py"
    script.write_text(
        "from infer.prepare.strange import work\n"
        "from kouxing.infer.prepare.crew import Crew\n"
        "if __name__ == '__main__':\n"
        f"    list(Crew(1).each(work, ['sleep {note}']))\n"
    )
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    parent = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": paths})
    try:
        wait_for(lambda: note.exists() and note.read_text() != "")
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    worker = int(note.read_text())
    wait_for(lambda: not alive(worker))


def wait_for(happened: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    # An orphan that nobody waits for stays as a zombie in some containers.
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
