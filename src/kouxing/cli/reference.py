"""``docs/cli.md``, made from the parser: ``python -m kouxing.cli.reference`` writes it, ``--check`` compares.

Only names, defaults and help texts are read, not the parser's own help page, whose layout changes between versions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from typer.main import get_command

from kouxing.cli.app import app

PLACE = Path("docs/cli.md")

HEAD = """# Command line

<!-- Made by `python -m kouxing.cli.reference`; edit the commands in src/kouxing/cli instead. -->

Exit codes: 0 done, 1 a fault in the program, 2 a mistake to mend (one line says which), 130 stopped by Ctrl-C.
Progress goes to standard error, results to standard output.

Environment: `KOUXING_THREADS` (CPU threads of the networks), `KOUXING_PROVIDER` (`cpu`, `cuda`, `coreml`, `directml`),
`KOUXING_WEIGHTS` (folders with own weights, as in `PATH`), `KOUXING_LANDMARKER` (MediaPipe's face_landmarker.task for
`track` and `prepare`), `KOUXING_SIGN_CERTIFICATE` and `KOUXING_SIGN_KEY` (PEM files that MP4 outputs are signed with,
C2PA),
`KOUXING_TRACEBACK=1` (full traceback of a fault).
"""


def reference() -> str:
    """The whole page in Markdown."""
    return "\n".join([HEAD, *_pages(get_command(app), "kouxing")]).rstrip() + "\n"


def _pages(command: Any, path: str) -> Iterator[str]:
    children = getattr(command, "commands", None)
    if children:
        for name, child in children.items():
            yield from _pages(child, f"{path} {name}")
        return
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    words = " ".join(_metavar(param) for param in arguments)
    needed = " ".join(f"{_longest(param)} {_value(param)}" for param in options if param.required)
    yield f"## `{path}`\n"
    yield f"{(command.help or '').strip()}\n"
    yield f"```\n{' '.join(part for part in (path, words, needed, '[OPTIONS]') if part)}\n```\n"
    yield "| | default | |\n|---|---|---|"
    for param in arguments:
        yield f"| `{_metavar(param)}` | {_default(param)} | {param.help or ''} |"
    for param in options:
        yield f"| {_names(param)} | {_default(param)} | {param.help or ''} |"
    yield ""


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _longest(param: Any) -> str:
    return str(max(param.opts, key=len))


def _names(param: Any) -> str:
    value = "" if param.is_flag else f" {_value(param)}"
    names = [f"`{name}{value if name == _longest(param) else ''}`" for name in (*param.opts, *param.secondary_opts)]
    return ", ".join(names).replace("|", "\\|")


def _value(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _default(param: Any) -> str:
    if param.required:
        return "required"
    value = param.default
    if value is None:
        return ""
    if param.secondary_opts:  # on or off, by a name each
        return f"`{(param.opts if value else param.secondary_opts)[0]}`"
    if getattr(param, "is_flag", False):
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`"


def main(arguments: list[str]) -> int:
    """Write the page into the current folder's ``docs``, or with ``--check`` compare; returns the exit code."""
    made = reference()
    if arguments == ["--check"]:
        if PLACE.is_file() and PLACE.read_text(encoding="utf-8") == made:
            return 0
        print(f"{PLACE} is not what the parser says: run python -m kouxing.cli.reference", file=sys.stderr)
        return 1
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    PLACE.write_text(made, encoding="utf-8")
    print(PLACE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
