"""What a dub is asked to do, checked, and what it reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from kouxing.errors import OptionError, OutputError
from kouxing.infer.given import face_number
from kouxing.infer.level import AUTO
from kouxing.infer.timeline import LENGTHS
from kouxing.media.aside import is_there, keep_inputs, output_errors

PRESETS = ("fast", "fine")

MOUTH_LIMITS = (0.0, 3.0)


@dataclass(frozen=True)
class DubReport:
    """What came out.

    Attributes:
        out: the video written.
        seconds: its length.
        frames: its frames.
        dubbed_frames: those whose mouth was painted.
        passed_frames: those without the face, left as they were.
        fps: frames per second of work, from start to end, the scan included; frames that an earlier run had painted
            do not count.
        preset: the network.
        mouth: opening coefficient, or ``auto``.
        opening: the coefficient's mean over spoken frames.
        length: whose length the output has.
        warnings: what the user should know, a line each.
    """

    out: Path
    seconds: float
    frames: int
    dubbed_frames: int
    passed_frames: int
    fps: float
    preset: str
    mouth: float | str
    opening: float
    length: str
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "out": str(self.out), "warnings": list(self.warnings)}


@dataclass(frozen=True)
class Order:
    """What is to be done: the arguments of ``dub``, checked."""

    face: Path
    speech: Path
    out: Path
    mouth: float | str
    face_index: int
    length: str
    preset: str

    def __post_init__(self) -> None:
        low, high = MOUTH_LIMITS
        mouth: Any = self.mouth
        if isinstance(mouth, Real) and low <= float(mouth) <= high:
            object.__setattr__(self, "mouth", float(mouth))
        elif not (isinstance(mouth, str) and mouth == AUTO):
            raise OptionError(f"--mouth {mouth}: give a number from {low:g} to {high:g}, or {AUTO}")
        object.__setattr__(self, "face_index", face_number(self.face_index))
        if self.length not in LENGTHS:
            raise OptionError(f"--length {self.length}: choose one of {', '.join(LENGTHS)}")
        if self.preset not in PRESETS:
            raise OptionError(f"--preset {self.preset}: choose one of {', '.join(PRESETS)}")
        if self.out.suffix.lower() != ".mp4":
            raise OptionError(f"{self.out}: the output is MP4, let its name end in .mp4")

    def check_out(self, overwrite: bool, *others: Path | None) -> None:
        """Refuse an output that cannot be, or that would take something away.

        Args:
            overwrite: what is there may go.
            others: inputs beside face and speech.

        Raises:
            OutputError: it is there already, is an input, or its folder is missing.
        """
        with output_errors(self.out):
            if not self.out.parent.is_dir():
                raise OutputError(f"{self.out}: the folder {self.out.parent} does not exist; make it or choose another")
            if not is_there(self.out):
                return
            if self.out.is_dir():
                raise OutputError(f"{self.out}: is a folder; give a file name")
            keep_inputs(self.out, self.face, self.speech, *others)
        if not overwrite:
            raise OutputError(f"{self.out}: is there already; remove it, overwrite it (--force) or choose another name")
