import pytest

from kouxing.errors import OptionError
from kouxing.text.script import check_script


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("你好,世界", "cmn"),
        ("こんにちは、世界", "ja"),
        ("안녕하세요", "ko"),
        ("Привет, мир", "ru"),
        ("مرحبا بالعالم", "ar"),
        ("Γειά σου", "el"),
    ],
)
def test_an_english_voice_is_not_given_what_it_would_spell(text: str, language: str) -> None:
    with pytest.raises(OptionError, match=f"the text: .* such as {language}$"):
        check_script(text, "en-us", "the text")
    check_script(text, language, "the text")


@pytest.mark.parametrize("text", ["Hello", "naïve café", "The word Привет means hello", "1 + 1", "", "½ 𝔅"])
def test_what_it_reads_passes(text: str) -> None:
    check_script(text, "en", "the text")


def test_other_languages_are_not_judged() -> None:
    check_script("Привет", "bg", "the text")
    check_script("Привет", "eng-none", "the text")
