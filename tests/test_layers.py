"""The package's order: who may import whom, who may touch the world, and where rates are written."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "kouxing"

ORDER = (
    ("units", "errors", "arkit", "types"),
    ("config", "weights"),
    ("media", "audio", "text", "export"),
    ("face",),
    ("models",),
    ("losses", "data"),
    ("infer",),
    ("eval",),
    ("train",),
    ("server", "cli"),
)
"""Lowest first. A part imports from itself, from lower rows, and from what stands before it in its own row."""

RANK = {name: number for number, name in enumerate(name for row in ORDER for name in row)}
TORCH_MODULES = {
    "torch",
    "lightning",
    "lightning_fabric",
    "torchvision",
    "safetensors",
    "tensorboard",
    "onnx",
    "onnxscript",
    "transformers",
}
TORCH_PARTS = {"models", "losses", "data", "train"}
TORCH_LATE = {"eval"}
"""May import PyTorch inside functions: parts of it judge what is in training."""

WORLD = {
    "asyncio", "av", "cv2", "datetime", "ftplib", "glob", "http", "io", "logging", "mmap", "multiprocessing", "os",
    "pathlib", "pickle", "requests", "shelve", "shutil", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "time",
    "urllib",
}  # fmt: skip
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "core", "misc"}

SOURCES = sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """``media`` for ``media/reader.py``, ``units`` for ``units.py``; empty for the package's own two files."""
    inside = path.relative_to(PACKAGE)
    name = inside.parts[0] if len(inside.parts) > 1 else inside.stem
    return "" if name in ("__init__", "__main__") else name


def imported(tree: ast.AST, path: Path) -> Iterator[tuple[str, int]]:
    """Every imported module's full name with its line, relative ones resolved."""
    package = ["kouxing", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield module, node.lineno
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno


def import_faults(source: str, path: Path) -> list[str]:
    """Imports of our own parts that go up."""
    part = part_of(path)
    if not part:
        return []
    faults = []
    for module, line in imported(ast.parse(source), path):
        names = module.split(".")
        if names[0] != "kouxing" or len(names) < 2 or names[1] not in RANK or names[1] == part:
            continue
        if RANK[names[1]] > RANK[part]:
            faults.append(f"{path.name}:{line}: {part} imports {names[1]}, which stands above it")
    return faults


def at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that run when the module is imported: not those in functions, not those for the type checker."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def torch_faults(source: str, path: Path) -> list[str]:
    """Imports of PyTorch and its kin where a base install must run."""
    part = part_of(path)
    if part in TORCH_PARTS:
        return []
    tree = ast.parse(source)
    nodes: list[ast.AST] = list(at_import(tree)) if part in TORCH_LATE else [tree]
    faults = set()
    for node in nodes:
        for module, line in imported(node, path):
            if module.split(".")[0] in TORCH_MODULES:
                faults.add(f"{path.name}:{line}: {part or 'the package'} imports {module}")
    return sorted(faults)


def world_faults(source: str, path: Path) -> list[str]:
    """Files, network or clock in the pure parts."""
    if part_of(path) not in ("models", "losses"):
        return []
    tree = ast.parse(source)
    faults = {
        f"{path.name}:{line}: imports {name}" for name, line in imported(tree, path) if name.split(".")[0] in WORLD
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "open",
            "torch.load",
            "torch.save",
            "np.load",
            "np.save",
        ):
            faults.add(f"{path.name}:{node.lineno}: calls {ast.unparse(node.func)}")
    return sorted(faults)


RATE_NAME = re.compile(
    r"(^|_)(hz|rate|fps|mel|mels|band|bands|sample|samples|hop|seconds)(_|$)|_s$|_ms$", re.IGNORECASE
)


def rate_faults(source: str, path: Path) -> list[str]:
    """16000 anywhere; 80 and 25 where the name beside them says that they are a rate or a number of bands."""
    if path.name == "units.py":
        return []
    faults = []

    def look(value: ast.AST | None, name: str) -> None:
        if isinstance(value, ast.Constant) and value.value in (25, 80) and RATE_NAME.search(name):
            faults.append(f"{path.name}:{value.lineno}: {value.value} as {name}: take it from units.py")

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value == 16000:
            faults.append(f"{path.name}:{node.lineno}: 16000: take it from units.py")
        elif isinstance(node, ast.keyword):
            look(node.value, node.arg or "")
        elif isinstance(node, ast.Assign):
            look(node.value, ast.unparse(node.targets[0]).split(".")[-1])
        elif isinstance(node, ast.AnnAssign):
            look(node.value, ast.unparse(node.target).split(".")[-1])
        elif isinstance(node, ast.arguments):
            positional = [*node.posonlyargs, *node.args]
            for arg, default in zip(positional[len(positional) - len(node.defaults) :], node.defaults, strict=True):
                look(default, arg.arg)
            for arg, maybe in zip(node.kwonlyargs, node.kw_defaults, strict=True):
                look(maybe, arg.arg)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div, ast.FloorDiv)):
            for value, other in ((node.left, node.right), (node.right, node.left)):
                if isinstance(other, (ast.Name, ast.Attribute)):
                    look(value, ast.unparse(other).split(".")[-1])
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Fraction":
            for value in node.args:
                look(value, "rate")
    return faults


RULES = {"order": import_faults, "torch": torch_faults, "world": world_faults, "rates": rate_faults}


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(rule: str) -> None:
    faults = [fault for path in SOURCES for fault in RULES[rule](path.read_text(encoding="utf-8"), path)]
    assert not faults, "\n".join(faults)


def test_every_part_has_a_place_in_the_order() -> None:
    assert {part_of(path) for path in SOURCES} - {""} <= RANK.keys()


def test_no_rooms_for_odds_and_ends() -> None:
    names = {path.stem for path in SOURCES} | {path.parent.name for path in SOURCES}
    assert not names & FORBIDDEN_NAMES


@pytest.mark.parametrize(
    ("rule", "place", "source"),
    [
        ("order", "media/reader.py", "from kouxing.face import track"),
        ("order", "media/reader.py", "def f():\n    import kouxing.infer.dub"),
        ("order", "units.py", "from kouxing.types import Float"),
        ("order", "models/lips.py", "from ..losses import image"),
        ("order", "infer/dub.py", "from kouxing import train"),
        ("order", "config.py", "import kouxing.weights"),
        ("torch", "face/track.py", "import torch"),
        ("torch", "infer/dub.py", "def f():\n    from torch import nn"),
        ("torch", "eval/judge.py", "try:\n    import torch\nexcept ImportError:\n    pass"),
        ("torch", "__init__.py", "import lightning_fabric"),
        ("world", "models/lips.py", "import os"),
        ("world", "losses/image.py", "from pathlib import Path"),
        ("world", "models/lips.py", "state = torch.load(place)"),
        ("rates", "audio/features.py", "x = 16000"),
        ("rates", "audio/features.py", "def f(fps: int = 25): ..."),
        ("rates", "audio/features.py", "log_mel(x, bands=80)"),
        ("rates", "audio/features.py", "frames = seconds * 25"),
        ("rates", "audio/features.py", "step = Fraction(1, 25)"),
        ("rates", "audio/features.py", "MEL_BANDS = 80"),
    ],
)
def test_the_rules_catch(rule: str, place: str, source: str) -> None:
    assert RULES[rule](source, PACKAGE / place)


@pytest.mark.parametrize(
    ("rule", "place", "source"),
    [
        ("order", "face/track.py", "from kouxing.media.reader import probe\nfrom kouxing.face import crop"),
        ("order", "weights/__init__.py", "from kouxing import config"),
        ("order", "__init__.py", "from kouxing.infer.dub import dub"),
        ("torch", "models/lips.py", "import torch"),
        ("torch", "eval/judge.py", "def f():\n    import torch"),
        ("world", "models/lips.py", "import math\nimport torch"),
        ("world", "infer/dub.py", "import os"),
        ("rates", "units.py", "SAMPLE_HZ = 16000"),
        ("rates", "face/landmarks.py", "RING = (78, 80, 25)"),
        ("rates", "media/writer.py", "VideoWriter(crf=25)"),
    ],
)
def test_the_rules_let_pass(rule: str, place: str, source: str) -> None:
    assert not RULES[rule](source, PACKAGE / place)


BASE_ONLY = """
import importlib, sys
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Wall())
for name in {modules!r}:
    importlib.import_module(name)
"""


def test_a_base_install_can_import_all_that_runs_without_pytorch() -> None:
    modules = []
    for path in SOURCES:
        if part_of(path) in TORCH_PARTS | TORCH_LATE or path.stem == "__main__":
            continue
        names = path.relative_to(PACKAGE).with_suffix("").parts
        modules.append(".".join(["kouxing", *names]).removesuffix(".__init__"))
    script = BASE_ONLY.format(blocked=TORCH_MODULES, modules=modules)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
