"""Measured figures: ``docs/figures/<name>.json``, and the tables of the README and docs/figures.md made from them.

Whoever measures calls ``write``; several commands may fill one file, each its own keys.
``python -m kouxing.eval.figures`` rewrites the README between ``<!-- figures:NAME -->`` and ``<!-- /figures -->``;
a test fails where they differ.
"""

from __future__ import annotations

import json
import math
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kouxing import config
from kouxing.errors import DataError, OutputError
from kouxing.eval.report import write_text
from kouxing.eval.rows import LABELS
from kouxing.eval.rows.grids import BY_LANGUAGE, GRIDS, LANGUAGE
from kouxing.eval.rows.row import SIGNS, Row

MARKED = re.compile(r"(<!-- figures:([\w-]+)( goals)? -->\n).*?(<!-- /figures -->)", re.DOTALL)


def root() -> Path:
    """The checkout that this module lies in.

    Raises:
        OutputError: kouxing is installed without its repository.
    """
    place = Path(__file__).resolve().parents[3]
    if not (place / "pyproject.toml").is_file():
        raise OutputError(f"{place}: is no checkout of kouxing; figures are written from a clone installed with -e")
    return place


def write(name: str, command: str, figures: Mapping[str, float], notes: str = "", folder: Path | None = None) -> Path:
    """Put ``figures`` into ``docs/figures/<name>.json``; keys that other commands wrote stay.

    Args:
        name: file name without suffix.
        command: the command line that measured; running it again replaces what it wrote before.
        figures: key -> number; NaN and infinity are kept as null.
        notes: one line that a reader of the figures needs to know.
        folder: where to; the checkout's ``docs/figures`` by default.

    Returns:
        The written file.

    Raises:
        DataError: the file that is there is not one of ours.
        OutputError: it cannot be written.
    """
    place = folder or root() / "docs" / "figures"
    path = place / f"{name}.json"
    old = load(name, place)
    numbers = {key: _number(value) for key, value in figures.items()}
    runs: dict[str, Any] = {}
    for said, run in old.get("commands", {}).items():
        # What is measured anew belongs to the new command alone; a command whose keys are all gone goes too.
        kept = [key for key in run["keys"] if key not in numbers]
        if said != command and kept:
            runs[said] = {**run, "keys": kept}
    run = {"commit": commit(), "machine": machine(), "keys": sorted(numbers)}
    runs[command] = {**run, "notes": notes} if notes else run
    held = {key for each in runs.values() for key in each["keys"]}
    merged = {key: value for key, value in {**old.get("figures", {}), **numbers}.items() if key in held}
    told = {
        "command": " && ".join(runs),
        "commit": run["commit"],
        "machine": run["machine"],
        "figures": _ordered(name, merged),
        "commands": runs,
    }
    write_text(path, json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def of_table(name: str, figures: Mapping[str, float]) -> dict[str, float]:
    """Those of ``figures`` that the table ``name`` has a line for; all where there is no such table."""
    lines = LABELS.get(name)
    if lines is None:
        return dict(figures)
    languages = "language_gap" in lines
    return {key: value for key, value in figures.items() if key in lines or (languages and LANGUAGE.fullmatch(key))}


def load(name: str, folder: Path | None = None) -> dict[str, Any]:
    """The file's content; ``{}`` where there is none yet.

    Raises:
        DataError: it cannot be read as figures.
    """
    path = (folder or root() / "docs" / "figures") / f"{name}.json"
    if not path.exists():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON; remove it and measure again") from error
    if not isinstance(told, dict) or not isinstance(told.get("figures"), dict):
        raise DataError(f"{path}: holds no figures; remove it and measure again")
    return told


def tables(text: str, folder: Path | None = None) -> str:
    """``text`` with each marked table made anew from its JSON file.

    Args:
        text: Markdown with ``<!-- figures:NAME -->`` and ``<!-- /figures -->`` on lines of their own; of
            ``<!-- figures:NAME goals -->`` only rows with a goal, and those that they speak of, are shown.
        folder: where the JSON files are; the checkout's ``docs/figures`` by default.
    """
    return MARKED.sub(lambda found: f"{found[1]}\n{table(found[2], folder, bool(found[3]))}\n{found[4]}", text)


def table(name: str, folder: Path | None = None, goals: bool = False) -> str:
    """One Markdown table: every labelled key with its goal, also those that nobody measured yet; or rows with one."""
    told = load(name, folder)
    figures = told.get("figures", {})
    rows = {
        **LABELS.get(name, {}),
        **{
            key: Row(f"`{key}`", "", 0)
            for key in figures
            if key not in LABELS.get(name, {}) and not LANGUAGE.fullmatch(key)
        },
    }
    lines = ["| | goal | measured | met |", "|---|--:|--:|:-:|"]
    for key, row in (_with_goals(rows) if goals else rows).items():
        value = figures.get(key)
        goal = f"{row.sign} {_short(row.goal)} {row.unit}".strip() if row.sign else ""
        lines.append(f"| {row.label} | {goal} | {_shown(value, row)} | {_met(value, row)} |")
    if name in GRIDS:
        lines = _grid(figures, *GRIDS[name])
    elif not goals:
        lines += _languages(figures)
    for command, run in told.get("commands", {}).items():
        notes = f" {run['notes']}" if run.get("notes") else ""
        lines.append(f"\n`{command}`: {run['machine']}; commit {_named(run['commit'])}.{notes}")
    return "\n".join(lines) + "\n"


def _named(commit: str) -> str:
    """Short, and with what makes it another program than the commit's."""
    head, plus, _ = commit.partition("+")
    return head[:10] + (" with changes" if plus else "")


def _with_goals(rows: Mapping[str, Row]) -> dict[str, Row]:
    """Rows with a goal, and before "the same …" the row that it speaks of."""
    kept: dict[str, Row] = {}
    spoken_of: tuple[str, Row] | None = None
    for key, row in rows.items():
        if not row.label.startswith("the same"):
            spoken_of = (key, row)
        if row.sign:
            if spoken_of is not None:
                kept.setdefault(*spoken_of)
            kept[key] = row
    return kept


def _languages(figures: Mapping[str, float | None]) -> list[str]:
    """Lines of the table by language; none where nothing was measured so."""
    found = sorted({match[2] for key in figures if (match := LANGUAGE.fullmatch(key))})
    if not found:
        return []
    columns = {key: row for key, row in BY_LANGUAGE.items() if any(f"{key}_lang_{one}" in figures for one in found)}
    lines = ["", f"| language | {' | '.join(row.label for row in columns.values())} |", f"|---|{'--:|' * len(columns)}"]
    for language in found:
        cells = (_shown(figures.get(f"{key}_lang_{language}"), row) for key, row in columns.items())
        lines.append(f"| {language} | {' | '.join(cells)} |")
    return lines


def _grid(
    figures: Mapping[str, float | None], rows: Mapping[str, str], columns: Mapping[str, Row], needed: str
) -> list[str]:
    """Lines of a table of rows and columns: a row for each that was measured."""
    titles = [row.label for row in columns.values()]
    lines = [f"| | {' | '.join(titles)} |", f"|---|{'--:|' * len(titles)}"]
    for row, title in rows.items():
        if f"{row}_{needed}" in figures:
            cells = (_shown(figures.get(f"{row}_{key}"), column) for key, column in columns.items())
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


PAGES = ("README.md", "docs/figures.md")


def refresh(page: Path) -> bool:
    """Rewrite a page's tables; True if something changed.

    Raises:
        OutputError: the page cannot be written.
    """
    old = page.read_text(encoding="utf-8")
    new = tables(old)
    if new != old:
        write_text(page, new)
    return new != old


def machine() -> str:
    """Processor, cores this process may use, system and Python in one line."""
    name = platform.processor() or platform.machine()
    told = Path("/proc/cpuinfo")
    if told.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", told.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        name = found[1].strip() if found else name
    cores = config.cores()
    return f"{name}, {cores} core{'s' if cores > 1 else ''}, {platform.system()}, Python {platform.python_version()}"


def commit() -> str:
    """The checkout's commit; with ``+changes`` where the package's source differs from it, ``unknown`` without git."""
    place = Path(__file__).resolve().parents[3]
    head = _git(place, "rev-parse", "HEAD")
    if head is None:
        return "unknown"
    return f"{head}+changes" if _git(place, "status", "--porcelain", "--", "src") else head


def _git(place: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(place), *words], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _number(value: float) -> float | None:
    number = float(value)
    if not math.isfinite(number):
        return None
    # Five significant digits say all that was measured and keep the file readable.
    return float(f"{number:.5g}")


def _ordered(name: str, figures: Mapping[str, float | None]) -> dict[str, float | None]:
    order = list(LABELS.get(name, {}))
    return dict(
        sorted(figures.items(), key=lambda item: (order.index(item[0]) if item[0] in order else len(order), item[0]))
    )


def _short(value: float) -> str:
    return f"{value:g}"


def _shown(value: float | None, row: Row) -> str:
    return "–" if value is None else f"{value:.{row.digits}f} {row.unit}".strip()


def _met(value: float | None, row: Row) -> str:
    if value is None or row.sign not in SIGNS:
        return ""
    return "yes" if SIGNS[row.sign](value, row.goal) and value <= row.most else "no"


def refresh_all() -> dict[str, bool]:
    """``refresh`` of every page, by its name."""
    return {page: refresh(root() / page) for page in PAGES}


def main() -> int:
    """Rewrite the pages' tables; returns the exit code."""
    for page, changed in refresh_all().items():
        print(f"{page}: {'rewritten' if changed else 'as it should be'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
