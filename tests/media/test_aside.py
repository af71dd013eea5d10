"""Files get their names when they are whole, and what the system refuses is said in one line."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from kouxing.errors import OutputError
from kouxing.media import aside as module
from kouxing.media.aside import aside, is_there, keeping, output_errors, part_of, reserved


@pytest.mark.parametrize("shared", [False, True])
def test_a_file_appears_whole_in_a_folder_that_is_made(tmp_path: Path, shared: bool) -> None:
    path = tmp_path / "deep" / "rows.npz"
    with keeping(path, shared) as part:
        np.savez(part, rows=np.arange(3))
        assert not path.exists() and part.suffix == ".npz" and (str(os.getpid()) in part.name) == shared
    assert [one.name for one in path.parent.iterdir()] == ["rows.npz"]
    with pytest.raises(KeyError), keeping(path, shared) as part:
        part.write_bytes(b"half")
        raise KeyError
    assert [one.name for one in path.parent.iterdir()] == ["rows.npz"]
    with np.load(path) as file:
        assert file["rows"].tolist() == [0, 1, 2]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written") as caught, keeping(tmp_path / "file" / "x.json"):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only")])
def test_refusals_say_what_to_do(tmp_path: Path, number: int, said: str) -> None:
    with pytest.raises(OutputError, match=said), output_errors(tmp_path):
        raise OSError(number, os.strerror(number))


def test_two_runs_do_not_write_one_output(tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    part_of(out).write_bytes(b"what a killed run left, longer than what follows")
    with aside(out) as first:
        first.write_bytes(b"first")
        with pytest.raises(OutputError, match="another run is writing it"), aside(out):
            pass
        assert first.read_bytes() == b"first"
    with aside(out) as second:
        assert second.read_bytes() == b"" and out.read_bytes() == b"first"
        second.write_bytes(b"second")
    assert out.read_bytes() == b"second" and [one.name for one in tmp_path.iterdir()] == ["rows.csv"]
    with pytest.raises(KeyError), aside(out):
        raise KeyError
    assert out.read_bytes() == b"second" and [one.name for one in tmp_path.iterdir()] == ["rows.csv"]


def test_a_link_that_leads_in_a_circle_gives_way(tmp_path: Path) -> None:
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    with reserved(loop), aside(loop) as part:
        part.write_bytes(b"rows")
    assert loop.read_bytes() == b"rows"


def test_a_link_to_nothing_is_there(tmp_path: Path) -> None:
    link = tmp_path / "rows.csv"
    assert not is_there(link) and not is_there(tmp_path / "none" / "rows.csv")
    link.symlink_to(tmp_path / "gone.csv")
    assert is_there(link)


@pytest.mark.parametrize("name", ["a\0b.csv", f"{'a' * 300}.csv", "\ud800.csv"])
def test_names_that_cannot_be_are_one_line(tmp_path: Path, name: str) -> None:
    for work in (aside, keeping, reserved, is_there):
        with pytest.raises(OutputError, match="cannot be written") as caught, ExitStack() as stack:
            stack.enter_context(work(tmp_path / name))  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_a_mistake_of_the_programs_is_not_the_users(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shapes"), output_errors(tmp_path / "a.npz"):
        raise ValueError("shapes differ")


def test_where_files_have_no_locks_it_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCKS", None)
    out = tmp_path / "rows.csv"
    part_of(out).write_bytes(b"what a killed run left")
    with aside(out) as part:
        assert part.read_bytes() == b""
        part.write_bytes(b"whole")
    assert out.read_bytes() == b"whole" and not part.exists()


def test_a_part_that_became_an_output_while_it_was_waited_for_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "rows.csv"
    part_of(out).write_bytes(b"finished")
    locked, calls = module._locked, []

    def renamed_meanwhile(file: int) -> bool:
        if not calls:
            part_of(out).rename(out)
        calls.append(file)
        return locked(file)

    monkeypatch.setattr(module, "_locked", renamed_meanwhile)
    part = module.Part(out)
    assert len(calls) == 2 and out.read_bytes() == b"finished"
    part.remove()
    assert [one.name for one in tmp_path.iterdir()] == ["rows.csv"]
