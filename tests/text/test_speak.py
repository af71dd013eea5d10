"""Speech from text: phones stand where their sound is (needs espeak-ng, ``kouxing[text]``)."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kouxing.errors import OptionError
from kouxing.text import speak
from kouxing.text.passages import LANGUAGES, PASSAGES, passage
from kouxing.text.phones import CLASS, classes, mouth_classes
from kouxing.text.speak import Speaker, Spoken, Voice


@pytest.fixture(scope="module")
def speaker() -> Iterator[Speaker]:
    pytest.importorskip("espeakng_loader")
    with Speaker() as made:
        yield made


def level(spoken: Spoken, first_s: float, last_s: float) -> float:
    part = spoken.samples[int(first_s * spoken.rate_hz) : int(last_s * spoken.rate_hz)]
    return float(np.sqrt(np.mean(part**2)))


def test_phones_stand_where_their_sound_is(speaker: Speaker) -> None:
    spoken = speaker.speak("a sofa", Voice("en-us", rate=120))
    symbols = [phone.symbol for phone in spoken.phones]
    hiss = spoken.phones[symbols.index("s")]
    vowel = spoken.phones[symbols.index("s") + 1]
    part = spoken.samples[int(hiss.start_s * spoken.rate_hz) : int(hiss.end_s * spoken.rate_hz)]
    after = spoken.samples[int(vowel.start_s * spoken.rate_hz) : int(vowel.end_s * spoken.rate_hz)]

    def crossings(one: np.ndarray) -> float:
        return float(np.mean(np.diff(np.sign(one)) != 0))

    assert crossings(part) > 3 * crossings(after)
    assert spoken.phones[-1].end_s <= len(spoken.samples) / spoken.rate_hz + 0.01


def test_lips_close_for_ma_and_not_for_sa(speaker: Speaker) -> None:
    closed = []
    for text in ("mama", "sasa"):
        phones = list(speaker.speak(text, Voice("es")).phones)
        closed.append(mouth_classes(phones, 100, 100).count(CLASS["bilabial"]))
    assert closed[0] > 5 and closed[1] == 0


def test_voices_sound_different(speaker: Speaker) -> None:
    slow, fast = (speaker.speak("one two three", Voice("en-us", rate=rate)) for rate in (100, 300))
    assert len(slow.samples) > 1.5 * len(fast.samples)
    woman = speaker.speak("one two three", Voice("en-us+f3"))
    man = speaker.speak("one two three", Voice("en-us"))
    assert not np.array_equal(woman.samples[:8000], man.samples[:8000])


def test_every_language_has_known_phones(speaker: Speaker) -> None:
    rng = random.Random(0)
    for language in LANGUAGES:
        spoken = speaker.speak(passage(language, rng), Voice(language))
        assert len(spoken.samples) > 1000 and all(classes(phone.symbol) is not None for phone in spoken.phones)


def test_languages_that_are_no_voices_name_are_spoken(speaker: Speaker) -> None:
    for language in ("en-gb", "fr-fr", "pt-pt"):
        assert speaker.speak("a b", Voice(language)).phones


def test_without_its_sound_a_text_has_the_same_phones(speaker: Speaker) -> None:
    whole, silent = speaker.speak("a sofa"), speaker.speak("a sofa", sound=False)
    assert len(whole.samples) and not len(silent.samples)
    assert [phone.symbol for phone in silent.phones] == [phone.symbol for phone in whole.phones]
    # espeak-ng itself differs by a millisecond from one time to the next.
    assert [phone.end_s for phone in silent.phones] == pytest.approx([phone.end_s for phone in whole.phones], abs=5e-3)
    assert silent.words == whole.words


def test_who_is_stopped_does_not_wait_for_a_long_text(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("espeakng_loader")
    with pytest.raises(KeyboardInterrupt), Speaker() as busy:
        assert busy._process.stdin is not None
        request = {"text": "the quick brown fox " * 20_000, "voice": "en", "rate": 165, "pitch": 50, "range": 50}
        busy._process.stdin.write(json.dumps(request).encode() + b"\n")
        busy._process.stdin.flush()
        raise KeyboardInterrupt
    assert busy._process.returncode is not None and "Traceback" not in capfd.readouterr().err


def test_a_worker_that_nobody_listens_to_ends_quietly() -> None:
    pytest.importorskip("espeakng_loader")
    worker = subprocess.Popen(speak.COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert worker.stdin is not None and worker.stdout is not None and worker.stderr is not None
    worker.stdout.readline()
    worker.stdout.close()
    request = {"text": "a boat " * 200, "voice": "en", "rate": 165, "pitch": 50, "range": 50}
    worker.stdin.write(json.dumps(request).encode() + b"\n")
    worker.stdin.close()
    assert worker.wait(timeout=60) == 0 and not worker.stderr.read()
    worker.stderr.close()


def test_an_unknown_voice_is_refused_and_the_worker_goes_on(speaker: Speaker) -> None:
    with pytest.raises(OptionError, match="no voice 'xx-none'"):
        speaker.speak("a", Voice("xx-none"))
    assert len(speaker.speak("a").samples) > 0


def test_without_espeak_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # A worker that cannot import the package, as in a base install.
    code = "import sys; sys.modules['espeakng_loader'] = None; from kouxing.text import espeak; "
    code += "espeak.serve(sys.stdin.buffer, sys.stdout.buffer)"
    monkeypatch.setattr(speak, "COMMAND", (sys.executable, "-c", code))
    monkeypatch.setenv("PYTHONPATH", str(Path(speak.__file__).parents[2]))
    with pytest.raises(OptionError, match=r"pip install 'kouxing\[text\]'") as error:
        Speaker()
    assert "\n" not in str(error.value)


def test_made_up_words_use_the_passages_letters() -> None:
    for language in PASSAGES:
        rng = random.Random(1)
        letters = set(PASSAGES[language].lower()) | set("0123456789 ,")
        for _ in range(10):
            said = passage(language, rng)
            assert said and set(said.lower()) <= letters
