"""The job folder: whole files only, another job is never mixed in, disk trouble is one clear line."""

import errno
import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kouxing
from kouxing.errors import MediaError, OptionError, OutputError
from kouxing.infer.job import Job, fingerprint
from kouxing.media.aside import alone


def test_a_job_goes_on_only_with_the_same_plan(tmp_path):
    out = tmp_path / "out.mp4"
    job = Job.open(out, {"mouth": 1.0, "face": {"bytes": 3}}, resume=False)
    job.save_json("note.json", [1, 2])
    again = Job.open(out, {"mouth": 1.0, "face": {"bytes": 3}}, resume=True)
    assert again.load_json("note.json") == [1, 2]
    with pytest.raises(
        OptionError, match=r"out\.mp4\.job: the unfinished job differs in face, mouth; .* without --resume"
    ):
        Job.open(out, {"mouth": 1.1, "face": {"bytes": 4}}, resume=True)
    assert job.has("note.json")


@pytest.mark.parametrize("plan", ["[1, 2]", "{torn", "null"])
def test_a_damaged_plan_is_told(tmp_path, plan):
    Job.open(tmp_path / "out.mp4", {"a": 1}, resume=False)
    (tmp_path / "out.mp4.job" / "plan.json").write_text(plan, "utf-8")
    with pytest.raises(OptionError, match="damaged; start anew"):
        Job.open(tmp_path / "out.mp4", {"a": 1}, resume=True)


def test_without_resume_the_folder_is_replaced(tmp_path):
    out = tmp_path / "out.mp4"
    Job.open(out, {}, resume=False).save_json("note.json", 1)
    assert not Job.open(out, {}, resume=False).has("note.json")


def test_a_strange_folder_is_not_removed(tmp_path):
    folder = tmp_path / "out.mp4.job"
    folder.mkdir()
    (folder / "diary.txt").write_text("mine")
    with pytest.raises(OutputError, match="not an unfinished job"):
        Job.open(tmp_path / "out.mp4", {}, resume=False)
    with pytest.raises(OptionError, match="damaged"):
        Job.open(tmp_path / "out.mp4", {}, resume=True)
    assert (folder / "diary.txt").read_text() == "mine"


def test_what_was_cut_short_does_not_count(tmp_path):
    job = Job.open(tmp_path / "out.mp4", {}, resume=False)
    with pytest.raises(KeyboardInterrupt), job.aside("segment.mp4") as part:
        part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert [path.name for path in job.folder.iterdir()] == ["plan.json"]
    # A process that was killed could not clean up; the next one does.
    job.place("segment.part.mp4").write_bytes(b"half")
    job = Job.open(tmp_path / "out.mp4", {}, resume=True)
    assert [path.name for path in job.folder.iterdir()] == ["plan.json"]


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "cannot be written")])
def test_a_refusal_of_the_system_is_one_line(tmp_path, number, words):
    job = Job.open(tmp_path / "out.mp4", {}, resume=False)
    with pytest.raises(OutputError) as caught, job.aside("segment.mp4"):
        raise OSError(number, os.strerror(number))
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_arrays_on_a_full_disk_are_one_line(tmp_path, monkeypatch):
    job = Job.open(tmp_path / "out.mp4", {}, resume=False)
    job.place("a.part.npz").symlink_to("/dev/full")
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    with pytest.raises(OutputError, match="disk is full"):
        job.save_arrays("a.npz", {"x": np.zeros(100_000)})
    gc.collect()
    assert not said and not job.has("a.npz")


def test_arrays_come_back(tmp_path):
    job = Job.open(tmp_path / "out.mp4", {}, resume=False)
    job.save_arrays("a.npz", {"x": np.arange(3), "y": np.zeros((2, 2), bool)})
    kept = job.load_arrays("a.npz")
    assert kept["x"].tolist() == [0, 1, 2] and kept["y"].dtype == bool


def test_fingerprints_tell_files_apart(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * (3 << 20))
    first = fingerprint(path)
    os.utime(path, ns=(1, 1))
    assert fingerprint(path) != first
    assert fingerprint(path)["sha256"] == first["sha256"]
    path.write_bytes(b"x" * (3 << 20) + b"y")
    assert fingerprint(path)["sha256"] != first["sha256"]
    with pytest.raises(MediaError, match="no such file"):
        fingerprint(tmp_path / "none")
    with pytest.raises(MediaError, match="is a folder"):
        fingerprint(tmp_path)


def test_two_jobs_do_not_make_the_same_output(tmp_path):
    out = tmp_path / "out.mp4"
    other = "import sys, pathlib; from kouxing.media.aside import alone\nwith alone(pathlib.Path(sys.argv[1])): pass"
    known = {**os.environ, "PYTHONPATH": str(Path(kouxing.__file__).parents[1])}

    def tried(path):
        return subprocess.run(
            [sys.executable, "-c", other, str(path)], env=known, capture_output=True, text=True, check=False
        )

    with alone(out):
        refused = tried(out)
        assert refused.returncode and f"{out}: another job is making it" in refused.stderr
        assert tried(tmp_path / "else.mp4").returncode == 0
    assert tried(out).returncode == 0
    assert list(tmp_path.iterdir()) == []
