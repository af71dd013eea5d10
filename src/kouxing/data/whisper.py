"""What a Whisper encoder makes of sound, for ``syncx``; the user brings Whisper, ``kouxing[pretrained]`` its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kouxing.data.mouths import Mouths
from kouxing.data.pretrained import digest
from kouxing.errors import OptionError
from kouxing.media.reader import load_sound
from kouxing.types import Float
from kouxing.units import FRAME_HZ, SAMPLE_HZ, exact

STATES_HZ = 50
RATE = exact(STATES_HZ, FRAME_HZ)
"""States per video frame."""
AT_ONCE_S = 30
"""Whisper takes thirty seconds, no more and no less."""


class WhisperEar:
    """A frozen Whisper encoder.

    Args:
        place: folder with ``config.json``, ``preprocessor_config.json`` and weights, as Hugging Face keeps them.

    Raises:
        OptionError: transformers is not installed, or the folder holds no Whisper model.
    """

    def __init__(self, place: Path) -> None:
        try:
            from transformers import WhisperFeatureExtractor, WhisperModel
        except ImportError as error:
            raise OptionError(
                "--whisper needs transformers: install it with pip install 'kouxing[pretrained]'"
            ) from error
        try:
            self._extract: Any = WhisperFeatureExtractor.from_pretrained(str(place), local_files_only=True)
            model: Any = WhisperModel.from_pretrained(str(place), local_files_only=True)
        except (OSError, ValueError) as error:
            raise OptionError(f"--whisper {place}: holds no Whisper model as Hugging Face keeps it") from error
        self._encoder = model.encoder.eval().requires_grad_(False)
        self.states = int(model.config.d_model)
        self.digest = digest(self._encoder)

    @torch.no_grad()
    def __call__(self, samples: Float, frames: int) -> Float:
        """Samples ``[N]`` at ``SAMPLE_HZ`` -> states ``[RATE * frames, W] float32``; silence where the sound ends."""
        parts = []
        length = AT_ONCE_S * SAMPLE_HZ
        for first in range(0, max(1, len(samples)), length):
            mel = self._extract(samples[first : first + length], sampling_rate=SAMPLE_HZ, return_tensors="pt")
            parts.append(self._encoder(mel.input_features).last_hidden_state[0])
        states = np.asarray(torch.cat(parts).float().numpy(), np.float32)[: RATE * frames]
        missing = RATE * frames - len(states)
        return states if missing <= 0 else np.concatenate([states, np.repeat(states[-1:], missing, 0)])


def with_states(data: Path, mouths: Sequence[Mouths], ear: WhisperEar) -> list[Mouths]:
    """The same clips, their sound as Whisper's states instead of log-mel."""
    result = []
    for one in mouths:
        samples = load_sound(data / "clips" / f"{one.clip.id}.mp4", SAMPLE_HZ).samples
        result.append(replace(one, mel=ear(samples, len(one))))
    return result
