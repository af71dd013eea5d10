"""Scripts of the checkout (``benchmarks/``, ``recipes/``) as modules, as they see themselves when they are run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def script(place: str) -> ModuleType:
    """Load a script.

    Args:
        place: in the checkout, such as ``benchmarks/bench_net.py``; what lies beside it can be imported.
    """
    path = ROOT / place
    before = list(sys.path)
    sys.path.insert(0, str(path.parent))
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module
