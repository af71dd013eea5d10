"""The shipped ``multimodal``: a text that is not said is told; a text moves lips where the sound has a hole."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import resample_poly

from kouxing import weights
from kouxing.face.closure import lip_distance
from kouxing.infer.multimodal import NAME, Multimodal, place_text
from kouxing.infer.multimodal_animate import Modalities, join
from kouxing.text.align import same
from kouxing.text.speak import Speaker, Voice
from kouxing.text.transcripts import Cue, Transcript
from kouxing.types import Float
from kouxing.units import SAMPLE_HZ

pytest.importorskip("espeakng_loader")
pytestmark = pytest.mark.skipif(NAME not in weights.names(), reason="multimodal is not shipped here")

SAID = "my mother bought a brown paper boat for the baby"
OTHER = "seventy sleek ducks sat in the cold light singing"


@pytest.fixture(scope="module")
def samples() -> Float:
    with Speaker() as speaker:
        spoken = speaker.speak(SAID, Voice("en", rate=140))
    made = resample_poly(spoken.samples, 320, 441).astype(np.float32)
    return np.asarray(np.concatenate([np.zeros(SAMPLE_HZ // 4, np.float32), made]), np.float32)


@pytest.fixture(scope="module")
def model() -> Multimodal:
    return Multimodal(threads=1)


def test_words_that_are_not_said_are_told_and_the_sound_wins(samples: Float, model: Multimodal) -> None:
    right, wrong = (join(samples, Modalities(text), model) for text in (SAID, OTHER))
    alone = join(samples, Modalities(), model)
    assert not right.warnings and len(wrong.warnings) == 1 and "could not be found in the sound" in wrong.warnings[0]
    assert np.array_equal(wrong.made.coefficients, alone.made.coefficients)
    assert not np.array_equal(right.made.coefficients, alone.made.coefficients)


def test_words_are_found_where_they_are_said(samples: Float, model: Multimodal) -> None:
    _, found = place_text(Transcript((Cue(SAID),), "t"), "en", model.hear(samples))
    assert found is not None and same(found)
    assert abs(found.words[0].start_s - 0.25) < 0.1
    assert [word.text for word in found.words] == SAID.split()
    gaps = [after.start_s - before.end_s for before, after in zip(found.words[:-1], found.words[1:], strict=True)]
    assert min(gaps) >= 0


def test_a_text_moves_lips_where_the_sound_has_a_hole(samples: Float, model: Multimodal) -> None:
    holed = samples.copy()
    middle = len(samples) // 2
    holed[middle - SAMPLE_HZ // 2 : middle + SAMPLE_HZ // 2] = 0
    frame = middle * 25 // SAMPLE_HZ
    inside = slice(frame - 10, frame + 10)
    moved = {
        name: float(lip_distance(join(holed, given, model).made.coefficients)[inside].std())
        for name, given in (("text", Modalities(SAID)), ("sound", Modalities()))
    }
    assert moved["text"] > 0.02 and moved["text"] > 2 * moved["sound"]


def test_a_text_tells_what_a_hole_hides(samples: Float, model: Multimodal) -> None:
    # What the text alone says of the mouth, its words' times known.
    classes, _ = place_text(Transcript((Cue(SAID),), "t"), "en", model.hear(samples))
    whole = lip_distance(model.make(classes=classes).coefficients)
    told: dict[str, list[float]] = {"text": [], "sound": []}
    for middle in (len(samples) // 2 + np.array([-1, 0, 1]) * (SAMPLE_HZ // 2)).tolist():
        holed = samples.copy()
        holed[middle - SAMPLE_HZ // 2 : middle + SAMPLE_HZ // 2] = 0
        frame = middle * 25 // SAMPLE_HZ
        inside = slice(frame - 12, frame + 12)
        for name, given in (("text", Modalities(SAID)), ("sound", Modalities())):
            made = lip_distance(join(holed, given, model).made.coefficients)
            told[name].append(float(np.corrcoef(made[inside], whole[inside])[0, 1]))
    assert np.mean(told["text"]) > 0.3 > np.mean(told["sound"]) + 0.1


def test_a_text_alone_opens_and_closes_the_mouth(model: Multimodal) -> None:
    distance = lip_distance(join(None, Modalities("pa pa pa pa"), model).made.coefficients)
    assert distance.max() > 0.1 and distance.min() < 0.03
