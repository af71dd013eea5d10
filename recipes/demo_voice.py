"""Make the demo's voice: ``python recipes/demo_voice.py`` (needs the program ``espeak-ng``, which is not shipped).

The sound that espeak-ng makes is not covered by its own licence (GPL-3); the sentence is ours.
"""

import io
import subprocess
from pathlib import Path

import av

from kouxing.units import SAMPLE_HZ

TEXT = (
    "Hello! This mouth moves by itself. <break time='700ms'/> "
    "Papa, mama, baby: lips close. Who are you? Wow, a blue moon."
)
OUT = Path(__file__).parents[1] / "src/kouxing/assets/demo-voice.flac"


def main() -> None:
    """Write the voice as mono FLAC."""
    command = ["espeak-ng", "-m", "-v", "en-us+f3", "-s", "145", "-p", "45", "--stdout", TEXT]
    wav = subprocess.run(command, check=True, capture_output=True).stdout
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with av.open(io.BytesIO(wav)) as source, av.open(str(OUT), "w") as target:
        stream = target.add_stream("flac", rate=SAMPLE_HZ, layout="mono")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_HZ)
        for frame in [*source.decode(audio=0), None]:
            for part in resampler.resample(frame):
                target.mux(stream.encode(part))
        target.mux(stream.encode(None))


if __name__ == "__main__":
    main()
