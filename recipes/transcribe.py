"""What is said in a data folder's English clips, as a speech recogniser hears it: `--texts` of `train multimodal`.

    pip install tokenizers
    npm pack @moonshine-ai/moonshine-js@0.1.29 && tar xzf moonshine-ai-moonshine-js-0.1.29.tgz
    pip download --no-deps useful-moonshine-onnx==20251121 && unzip useful_moonshine_onnx-20251121-py3-none-any.whl
    python recipes/transcribe.py DATA package/dist/model/tiny/quantized moonshine_onnx/assets/tokenizer.json OUT

Writes OUT/ID.txt for the clips of `train` and `val` whose words are not known otherwise, where the recogniser is sure
of them: what it does not understand, another language say, it repeats or is unsure of. A minute on one core.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from kouxing.data import grid
from kouxing.data.manifest import read_manifest
from kouxing.media.reader import load_sound
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ

SOURCE = {"source": "transcripts by Moonshine tiny, English (Useful Sensors, Inc.)", "licence": "MIT"}
BEGIN, END = 1, 2
LAYERS, HEADS, WIDTH = 6, 8, 36
TOKENS_A_SECOND, MORE = 8, 8
LONGEST_S, SHORTEST_S = 20, 12
"""What is longer is cut where it is quietest."""
WINDOW, LEAST = SAMPLE_HZ // 5, SAMPLE_HZ // 2
"""Samples over which quiet is measured, and that there must be to recognise anything in."""
SURE, LEAST_WORDS, REPEATED = -0.4, 3, 3
"""Mean log probability of a token; words; and how often three words may come again."""


class Recogniser:
    """Moonshine, greedily decoded.

    Args:
        folder: with ``encoder_model.onnx`` and ``decoder_model_merged.onnx``. tokens: ``tokenizer.json``.
    """

    def __init__(self, folder: Path, tokens: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._encoder, self._decoder = (
            onnxruntime.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
            for name in ("encoder_model", "decoder_model_merged")
        )
        self._tokens = Tokenizer.from_file(str(tokens))

    def hear(self, samples: Float) -> tuple[str, float]:
        """Words of ``[N]`` samples, and how sure they are: mean log probability of a token."""
        states = self._encoder.run(None, {"input_values": samples[None]})[0]
        names = [
            f"past_key_values.{n}.{side}.{kind}"
            for n in range(LAYERS)
            for side in ("decoder", "encoder")
            for kind in ("key", "value")
        ]
        past = dict.fromkeys(names, np.zeros((0, HEADS, 1, WIDTH), np.float32))
        said, sure = [BEGIN], 0.0
        for step in range(TOKENS_A_SECOND * len(samples) // SAMPLE_HZ + MORE):
            given = {
                "input_ids": np.array([said[-1:]]), "encoder_hidden_states": states,
                "use_cache_branch": np.array([step > 0]), **past,
            }  # fmt: skip
            logits, *present = self._decoder.run(None, given)
            last = logits[0, -1]
            sure -= float(np.log(np.exp(last - last.max()).sum()))
            if last.argmax() == END:
                break
            said.append(int(last.argmax()))
            # Keys and values of the sound are told at the first step alone.
            past = {
                name: new if step == 0 or ".decoder." in name else past[name]
                for name, new in zip(names, present, strict=True)
            }  # fmt: skip
        return self._tokens.decode(said[1:]).strip(), sure / len(said)


def parts(samples: Float) -> list[Float]:
    """Pieces of at most ``LONGEST_S``."""
    made = []
    while len(samples) > LONGEST_S * SAMPLE_HZ:
        near = samples[SHORTEST_S * SAMPLE_HZ : LONGEST_S * SAMPLE_HZ]
        quiet = np.convolve(near**2, np.ones(WINDOW), "valid").argmin()
        cut = SHORTEST_S * SAMPLE_HZ + int(quiet) + WINDOW // 2
        made.append(samples[:cut])
        samples = samples[cut:]
    return [*made, samples] if len(samples) > LEAST else made


def understood(text: str, sure: float) -> bool:
    """Whether it may be what is said."""
    words = text.lower().split()
    threes = [tuple(words[n : n + 3]) for n in range(len(words) - 2)]
    again = max((threes.count(three) for three in threes), default=0)
    return sure > SURE and len(words) >= LEAST_WORDS and again < REPEATED


def main() -> None:
    data, folder, tokens, out = map(Path, sys.argv[1:5])
    recogniser, known = Recogniser(folder, tokens), grid.transcripts(data)
    out.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val"):
        for clip in read_manifest(data, split):
            told = clip.id in known or (data / "align" / f"{clip.id}.align").exists()
            if told or clip.language not in ("en", "und"):
                continue
            samples = load_sound(data / "clips" / f"{clip.id}.mp4", SAMPLE_HZ).samples
            heard = [recogniser.hear(part) for part in parts(samples)] or [("", -np.inf)]
            text, sure = " ".join(words for words, _ in heard), float(np.mean([one for _, one in heard]))
            print(f"{clip.id}: {text} ({sure:.2f})", flush=True)
            if understood(text, sure):
                (out / f"{clip.id}.txt").write_text(text + "\n", encoding="utf-8")
    (out / "transcripts.json").write_text(json.dumps({"data": [SOURCE], "licence": "MIT"}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
