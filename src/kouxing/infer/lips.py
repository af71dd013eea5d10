"""The trained ``lips`` network in use: references encoded once per job, then frame by frame."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from kouxing import weights
from kouxing.errors import OptionError
from kouxing.face.geometry import as_wide, scaled
from kouxing.face.landmarks import EDGE_LEFT, EDGE_RIGHT
from kouxing.face.patch import first_column
from kouxing.face.pressed import pressed
from kouxing.face.stance import stance
from kouxing.infer import light
from kouxing.infer.crispness import amount, sharpened
from kouxing.infer.order import PRESETS
from kouxing.infer.person import STAGES, Person
from kouxing.infer.references import References
from kouxing.types import Bytes, Float
from kouxing.units import CROP_PX, HALF_PX

GREY, GREY_PERCENT = 6, 99
"""References of whose pixels so many percent have channels no farther apart than this are black and white."""


class LipsNetwork:
    """A preset's two ONNX stages. ``paint`` may be called from several threads once references are set.

    Args:
        preset: ``fast`` or ``fine``.
        threads: CPU threads of each stage; by default those of ``weights.session``.
        person: whose fitted numbers take the place of the shipped ones, of the same preset.

    Raises:
        OptionError: unknown preset.
        WeightError: its weights are missing or damaged.
    """

    def __init__(self, preset: str = "fast", threads: int | None = None, person: Person | None = None) -> None:
        if preset not in PRESETS:
            raise OptionError(f"--preset {preset}: choose one of {', '.join(PRESETS)}")
        numbers = {stage: person.stage(stage) if person else None for stage in STAGES}
        names = {stage: f"lips_{preset}_{stage}" for stage in STAGES}
        self._encode, self.card = weights.session(names["references"], threads=threads, tensors=numbers["references"])
        self._paint, _ = weights.session(names["frame"], threads=threads, tensors=numbers["frame"])
        self.dimensions = self.card["dimensions"]
        # Files of before paint all columns.
        self._partly = "left" in {value.name for value in self._paint.get_inputs()}
        self._memory: dict[str, np.ndarray] = {}
        self._stances = np.zeros((0, 0), np.float32)
        self._sharpening = 0.0
        self._own = person.sharpening if person else None
        self._grey = False
        self._light = np.ones((0, 0, 3), np.float32)

    def set_references(self, references: References) -> None:
        """Encode the person, and find out how much the painting must be sharpened to look like these pictures."""
        self._sharpening = 0.0
        references = replace(references, crops=light.alike(references.crops))
        self._light = np.stack([light.cells(crop) for crop in references.crops]).mean(0)
        self._grey = bool(np.percentile(np.ptp(references.crops, axis=-1), GREY_PERCENT) <= GREY)
        if self._own is not None:
            self._encoded(references)
            self._sharpening = self._own
            return
        painted = []
        for at in range(len(references.crops)):
            self._encoded(references.instead_of(at))
            features = np.repeat(references.geometry[at : at + 1], self.dimensions["window"], 0)
            painted.append(self.paint(references.crops[at], references.anchors[at], features))
        self._encoded(references)
        self._sharpening = amount(painted, list(references.crops), references.anchors)

    def _encoded(self, references: References) -> None:
        wanted = (self.dimensions["references"], CROP_PX, CROP_PX, 3)
        if references.crops.shape != wanted:
            raise ValueError(f"references must be {wanted}, got {references.crops.shape}")
        names = [output.name for output in self._encode.get_outputs()]
        made = self._encode.run(names, {"crops": np.ascontiguousarray(references.crops)})
        own = as_wide(references.geometry[None].astype(np.float32), self.dimensions["features"])
        self._memory = {**dict(zip(names, made, strict=True)), "own": own}
        self._stances = stance(references.anchors)

    def paint(self, crop: Bytes, anchors: Float, features: Float, mouth: float = 1.0) -> Bytes:
        """Paint a frame's lower half, as much of it as may be pasted (``face.patch``).

        Args:
            crop: ``[256, 256, 3] uint8`` RGB; its lower half is not looked at.
            anchors: ``[8, 2] float32``, the head's points in the crop, in its pixels; the chin is not looked at.
            features: ``[F, D] float32`` audio features around the frame: mouth geometry, and behind it the phones said
                where they are known; what the network was not trained on is not looked at.
            mouth: mouth-opening coefficient, 1 = as spoken (methods.md section 4, Fusion a).

        Returns:
            ``[256, 256, 3] uint8``: the crop with a new lower half; columns that are not painted repeat the next one.
        """
        if not self._memory:
            raise ValueError("set_references must come before paint")
        own = light.gain(light.cells(crop), self._light)
        if self._grey:
            own[:] = own.mean()
        upper = light.lit(crop[:HALF_PX], 1 / np.maximum(own, light.DARKEST))
        stances = np.concatenate([stance(anchors)[None], self._stances])[None]
        audio = as_wide(pressed(scaled(features, mouth))[None], self.dimensions["features"])
        inputs = {"crop": upper[None], "audio": audio, "stances": stances, **self._memory}
        first = first_column(anchors[EDGE_RIGHT], anchors[EDGE_LEFT]) if self._partly else 0
        if self._partly:
            inputs["left"] = np.array([first])
        (lower,) = self._paint.run(["lower"], inputs)
        beside = first, CROP_PX - lower.shape[2] - first
        if self._grey:
            # Nobody trained on black and white: lips would be a little red.
            lower = cv2.cvtColor(cv2.cvtColor(lower[0], cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)[None]
        whole = np.pad(lower[0], ((0, 0), beside, (0, 0)), mode="edge")
        painted = light.lit(sharpened(whole, self._sharpening, anchors, HALF_PX), own)
        return np.concatenate([crop[:HALF_PX], painted])
