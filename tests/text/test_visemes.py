"""Other people's mouth shapes: every name has a pose, lips touch where they must, and times come from strangers."""

from __future__ import annotations

import json
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kouxing.arkit import PLACE
from kouxing.errors import DataError
from kouxing.face.closure import CLOSED_DISTANCE, TYPICAL_DISTANCE, lip_distance
from kouxing.text.phones import MOUTHS, Phone
from kouxing.text.viseme_times import of_json, read_visemes
from kouxing.text.visemes import (
    ALPHABETS,
    BLEND_S,
    MOUTH_SHAPES,
    OCULUS,
    WIDE,
    Cue,
    averaged,
    contact_of_phones,
    pose,
    rows_of_cues,
    rows_of_phones,
    shapes_of,
)  # fmt: skip

POLLY = b"""{"time":0,"type":"sentence","start":0,"end":23,"value":"Mary had a little lamb."}
{"time":6,"type":"word","start":0,"end":4,"value":"Mary"}
{"time":6,"type":"viseme","value":"p"}
{"time":73,"type":"viseme","value":"E"}
{"time":180,"type":"viseme","value":"r"}
{"time":292,"type":"viseme","value":"i"}
{"time":373,"type":"word","start":5,"end":8,"value":"had"}
{"time":373,"type":"viseme","value":"k"}
{"time":460,"type":"viseme","value":"a"}
"""
"""The beginning of the example in Amazon's documentation."""
AZURE = [
    {"AudioOffset": 500000, "VisemeId": 0},
    {"AudioOffset": 1000000, "VisemeId": 21},
    {"AudioOffset": 2000000, "VisemeId": 2},
]


def distance(name: str) -> float:
    return float(lip_distance(pose(OCULUS[name])))


def test_every_alphabet_is_whole() -> None:
    assert set(ALPHABETS["azure"]) == {str(number) for number in range(22)}
    assert set(ALPHABETS["rhubarb"]) == set("ABCDEFGHX")
    assert set(MOUTH_SHAPES) == {mouth.name for mouth in MOUTHS}
    for names in ALPHABETS.values():
        assert all(shape in OCULUS for shapes in names.values() for shape in shapes)
    assert len(OCULUS) == 15
    # Names of Polly that are not in its table are X-SAMPA phones.
    assert shapes_of("2", "polly") == ("oh",) and shapes_of("R", "polly") == ("kk",)


def test_shapes_are_as_wide_as_tracked_speakers() -> None:
    assert abs(WIDE - TYPICAL_DISTANCE) < 0.01
    assert distance("PP") <= 0 and distance("sil") == 0
    assert max(map(distance, OCULUS)) == distance("aa") == pytest.approx(WIDE)
    assert distance("SS") < distance("E") < distance("aa")
    rounded = [OCULUS[name].get("mouthPucker", 0) for name in ("ou", "oh", "aa", "ih")]
    assert rounded == sorted(rounded, reverse=True) and rounded[-1] == 0


def test_lips_touch_for_a_whole_p_between_open_vowels() -> None:
    cues = [Cue(0.1, "aa"), Cue(0.4, "PP"), Cue(0.46, "aa"), Cue(0.8, "sil")]
    rows = rows_of_cues(cues, 1.0)
    times = np.arange(len(rows)) / 60
    gaps = lip_distance(rows)
    assert rows.shape == (60, 52) and rows.min() >= 0 and rows.max() <= 1
    assert (gaps[(times >= 0.4) & (times <= 0.46)] <= CLOSED_DISTANCE).all()
    assert (gaps[(times > 0.15) & (times < 0.35)] > 0.9 * WIDE).all()
    assert not rows[times < 0.1 - BLEND_S / 2].any() and not rows[times > 0.8 + BLEND_S / 2].any()
    # Nothing jumps: the way takes two rows or more.
    assert np.abs(np.diff(gaps)).max() < 0.6 * WIDE + 0.05


def test_diphthongs_go_from_one_shape_to_the_other() -> None:
    rows = rows_of_cues([Cue(0.0, "9")], 0.4, "azure")
    jaw, pucker = rows[:, PLACE["jawOpen"]], rows[:, PLACE["mouthPucker"]]
    assert jaw[6] > 3 * jaw[18] and pucker[18] > 0.6 and pucker[6] < 0.05


def test_every_azure_vowel_that_is_no_diphthong_is_one_shape() -> None:
    """Azure's 4 stands for one of "ey, eh, uh", not for a glide between them."""
    assert {number for number, shapes in ALPHABETS["azure"].items() if len(shapes) > 1} == {"9", "10", "11"}


def test_averaging_is_what_adding_up_gives() -> None:
    chance = np.random.default_rng(0)
    starts = np.sort(chance.random(9)) + 0.1
    values = chance.random((9, 3)).astype(np.float32)
    at = np.linspace(-0.2, 1.5, 40)
    fine = at[:, None] + (np.arange(2000) + 0.5) / 2000 * 0.2 - 0.1
    for end in (None, 1.2):
        steps = np.clip(np.searchsorted(starts, fine, side="right") - 1, 0, 8)
        slow = (values[steps] * (1 if end is None else (fine < end)[..., None])).mean(1)
        np.testing.assert_allclose(averaged(starts, values, at, 0.2, end), slow, atol=2e-3)


def test_phones_move_the_mouth_as_they_say() -> None:
    phones = [Phone("m", 0.1, 0.2), Phone("ˈɑː", 0.2, 0.4), Phone("u", 0.4, 0.6), Phone("", 0.6, 0.7)]
    rows = rows_of_phones(phones, 0.7)
    gaps = lip_distance(rows)
    assert len(rows) == 42 and gaps[9] <= CLOSED_DISTANCE and gaps[18] > 0.2 and rows[30, PLACE["mouthPucker"]] > 0.7


def test_contact_is_asked_for_by_bilabials_only() -> None:
    phones = [
        Phone("s", 0.0, 0.2), Phone("p", 0.2, 0.3), Phone("ˈɑː", 0.3, 0.6), Phone("m", 0.6, 0.7), Phone("☃", 0.7, 0.8),
    ]  # fmt: skip
    share = contact_of_phones(phones, 1.0)
    times = np.arange(60) / 60
    assert len(share) == 60 and share.dtype == np.float32
    held = ((times >= 0.2) & (times <= 0.3)) | ((times >= 0.6) & (times <= 0.7))
    assert (share[held] == 1).all() and share.max() == 1
    assert not share[(times < 0.16 - 1e-9) | ((times > 0.34) & (times < 0.56)) | (times > 0.74)].any()
    assert len(contact_of_phones([], 0.5)) == 30 and len(contact_of_phones(phones, 0.0)) == 0


def test_polly_and_azure_and_rhubarb_are_read() -> None:
    polly = read_visemes(POLLY, "marks")
    assert polly.alphabet == "polly" and [cue.shape for cue in polly.cues] == ["p", "E", "r", "i", "k", "a"]
    assert [cue.start_s for cue in polly.cues] == [0.006, 0.073, 0.18, 0.292, 0.373, 0.46]
    assert lip_distance(polly.rows(0.6))[2] <= CLOSED_DISTANCE
    wanted = [Cue(0.05, "0"), Cue(0.1, "21"), Cue(0.2, "2")]
    for spelling in (
        AZURE,
        {"visemes": AZURE},
        [{"audio_offset": one["AudioOffset"], "viseme_id": str(one["VisemeId"])} for one in AZURE],
        [{"privAudioOffset": one["AudioOffset"], "privVisemeId": one["VisemeId"]} for one in AZURE],
    ):
        azure = read_visemes(json.dumps(spelling).encode(), "marks")
        assert azure.alphabet == "azure" and list(azure.cues) == wanted
    lines = b"\n".join(json.dumps(one).encode() for one in AZURE)
    assert list(read_visemes(lines, "marks").cues) == wanted
    rhubarb = {"mouthCues": [{"start": 0.0, "end": 0.1, "value": "X"}, {"start": 0.1, "end": 0.3, "value": "A"}]}
    assert list(read_visemes(json.dumps(rhubarb).encode(), "marks").cues) == [Cue(0.0, "X"), Cue(0.1, "A")]


def test_cues_behind_the_sound_are_left_out() -> None:
    rows = read_visemes(POLLY, "marks").rows(0.1)
    assert len(rows) == 6 and not np.isnan(rows).any()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff", b"nonsense", b"1", b'"p"', b"[1]", b"{}", b"[[]]", b'{"visemes": 3}',
        b'[{"AudioOffset": 1, "VisemeId": 22}]', b'[{"AudioOffset": -1, "VisemeId": 2}]', b'[{"VisemeId": 2}]',
        b'[{"AudioOffset": 9e99, "VisemeId": 2}]', b'[{"AudioOffset": NaN, "VisemeId": 2}]',
        b'[{"AudioOffset": true, "VisemeId": 2}]', b'[{"AudioOffset": 1, "VisemeId": true}]',
        b'[{"AudioOffset": 20, "VisemeId": 2}, {"AudioOffset": 10, "VisemeId": 2}]',
        b'[{"time": 1, "type": "viseme"}]', b'[{"time": 1, "type": "viseme", "value": "a very long name"}]',
        '[{"time": 1, "type": "viseme", "value": "口"}]'.encode(), b'{"mouthCues": [{"start": 0, "value": "Q"}]}',
        b'{"mouthCues": {"start": 0}}', b"[" * 100_000, b'[{"AudioOffset": 1' + b"0" * 5000 + b', "VisemeId": 2}]',
    ],
)  # fmt: skip
def test_what_is_no_viseme_time_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(DataError) as caught:
        read_visemes(content, "marks").rows(1.0)
    assert "marks" in str(caught.value) and "\n" not in str(caught.value)


def test_far_too_many_are_refused() -> None:
    with pytest.raises(DataError, match="more than"):
        of_json([{"AudioOffset": 1, "VisemeId": 1}] * 20_001, "marks")


KEYS = st.sampled_from(["AudioOffset", "VisemeId", "time", "type", "value", "visemes", "mouthCues", "start", "end"])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["viseme", "word", "p", "A", "21", ""]),
    st.text(string.printable, max_size=4),
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=20,
)


@given(JSON)
def test_any_json_gives_rows_or_a_data_error(told: object) -> None:
    try:
        rows = of_json(told, "marks").rows(0.5)
    except DataError:
        return
    assert rows.shape == (30, 52) and rows.min() >= 0 and rows.max() <= 1


@given(st.binary(max_size=300))
def test_any_bytes_give_cues_or_a_data_error(content: bytes) -> None:
    try:
        read_visemes(content, "marks")
    except DataError:
        return
