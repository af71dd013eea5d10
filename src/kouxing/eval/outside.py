"""Judges and rivals that are not ours, where Node.js has them: Khronos' glTF validator, Rhubarb Lip Sync.

Neither is bundled. ``npm install gltf-validator rhubarb-lip-sync-wasm`` in any folder, and that folder's
``node_modules`` as ``NODE_PATH`` (or given here), is all they need; they work offline.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kouxing.errors import DataError, OptionError
from kouxing.eval.visemes import SHAPES, Cue
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ

VALIDATOR, RHUBARB = "gltf-validator", "rhubarb-lip-sync-wasm"
TIMEOUT_S = 120
SLOWEST = 60
"""Seconds that Rhubarb may take for a second of sound: its WebAssembly needs about ten on a busy core."""

_FIND = "console.log(require.resolve(process.argv[1]))"
_VALIDATE = """
const judge = require('gltf-validator'), { readFileSync } = require('fs');
(async () => {
  const told = [];
  for (const path of process.argv.slice(1)) {
    told.push((await judge.validateBytes(new Uint8Array(readFileSync(path)))).issues);
  }
  console.log(JSON.stringify(told));
})();
"""
# The package is an ES module, which NODE_PATH does not help to find; and it prints what it does.
_LISTEN = """
const { readFileSync, writeFileSync } = require('fs'), { pathToFileURL } = require('url');
const [sound, out] = process.argv.slice(1);
console.log = () => {};
import(pathToFileURL(require.resolve('rhubarb-lip-sync-wasm')).href).then(async ({ Rhubarb }) => {
  writeFileSync(out, JSON.stringify(await Rhubarb.getLipSync(readFileSync(sound))));
});
"""


@dataclass(frozen=True)
class Issues:
    """What the validator says of a file; ``messages`` are its own words, at most a few."""

    errors: int
    warnings: int
    messages: tuple[str, ...]


class Node:
    """Runs packages of Node.js.

    Args:
        modules: a ``node_modules`` folder; by default what ``NODE_PATH`` says.
    """

    def __init__(self, modules: Path | None = None) -> None:
        self._environment = {**os.environ, **({"NODE_PATH": str(modules)} if modules is not None else {})}

    def lacks(self, package: str) -> str | None:
        """Why ``package`` cannot be used, in a line; None where it can."""
        if shutil.which("node") is None:
            return f"{package} needs Node.js, which is not installed"
        try:
            self._run(_FIND, package)
        except DataError:
            return f"{package} is not installed: npm install {package}, and its node_modules as NODE_PATH"
        return None

    def validate(self, paths: Sequence[Path]) -> list[Issues]:
        """Khronos' judgement of GLB files, in their order.

        Raises:
            OptionError: the validator is missing. DataError: it failed.
        """
        self._need(VALIDATOR)
        told: list[dict[str, Any]] = json.loads(self._run(_VALIDATE, *(str(path.resolve()) for path in paths)))
        return [
            Issues(
                int(one["numErrors"]),
                int(one["numWarnings"]),
                tuple(f"{message['code']}: {message['message']}" for message in one["messages"][:5]),
            )
            for one in told
        ]

    def rhubarb(self, samples: Float) -> list[Cue]:
        """Mouth shapes that Rhubarb hears, without the words said.

        Args:
            samples: ``[N] float32``, -1..1, at ``SAMPLE_HZ``.

        Raises:
            OptionError: it is missing. DataError: it failed.
        """
        self._need(RHUBARB)
        with tempfile.TemporaryDirectory(prefix="kouxing-rhubarb-") as folder:
            sound, out = Path(folder) / "sound.pcm", Path(folder) / "cues.json"
            sound.write_bytes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
            self._run(_LISTEN, str(sound), str(out), timeout_s=TIMEOUT_S + SLOWEST * len(samples) / SAMPLE_HZ)
            try:
                return read_cues(out.read_text(encoding="utf-8"), RHUBARB)
            except OSError as error:
                raise DataError(f"{RHUBARB}: ended without a result") from error

    def _need(self, package: str) -> None:
        reason = self.lacks(package)
        if reason is not None:
            raise OptionError(reason)

    def _run(self, script: str, *words: str, timeout_s: float = TIMEOUT_S) -> str:
        try:
            done = subprocess.run(
                ["node", "-e", script, *words],
                capture_output=True, text=True, timeout=timeout_s, check=False, env=self._environment,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DataError(f"node: {error}") from error
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "Error" in line] or done.stderr.splitlines()[-1:]
            raise DataError(f"node: {lines[0].strip() if lines else f'ended with {done.returncode}'}")
        return done.stdout


def read_cues(text: str, where: str) -> list[Cue]:
    """Cues of Rhubarb's JSON output, ``{"mouthCues": [{"start": 0.1, "end": 0.2, "value": "B"}]}``.

    A cue holds until the next one begins; where two overlap, the later one counts.

    Args:
        text: the JSON. where: its name, for errors.

    Raises:
        DataError: not such a text.
    """
    try:
        rows = json.loads(text)["mouthCues"]
        cues = [Cue(float(row["start"]), str(row["value"])) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where}: no mouth cues in it ({error}); write them with rhubarb -f json") from error
    unknown = sorted({cue.shape for cue in cues if len(cue.shape) != 1 or cue.shape not in SHAPES})
    if unknown:
        raise DataError(f"{where}: mouth shape {unknown[0]!r} is none of {', '.join(SHAPES)}")
    return sorted(cues, key=lambda cue: cue.start_s)
