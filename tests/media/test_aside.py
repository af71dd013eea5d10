"""Files get their names when they are whole, and what the system refuses is said in one line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from kouxing.errors import OutputError
from kouxing.media.aside import keeping, output_errors


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
