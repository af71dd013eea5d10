"""The weight door: what goes in comes out, and nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kouxing import config, weights
from kouxing.errors import OptionError, WeightError

onnx = pytest.importorskip("onnx", reason="needs kouxing[train]")

ABOUT: dict[str, Any] = {
    "dimensions": {"width": 3},
    "units": {"x": "1"},
    "recipe": "by hand",
    "commit": "0" * 40,
    "data": [{"source": "none", "licence": "CC0-1.0"}],
    "licence": "CC0-1.0",
    "figures": {"error": 0.5},
}


def doubling() -> bytes:
    """A network that doubles ``x [N, 3]``."""
    helper = onnx.helper
    three = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 3]) for name in "xy"]
    two = onnx.numpy_helper.from_array(np.array([2.0], np.float32), "two")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "two"], ["y"])], "doubling", three[:1], three[1:], [two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return weights.save("double", doubling(), ABOUT, tmp_path)


def one_line(caught: pytest.ExceptionInfo[WeightError]) -> str:
    text = str(caught.value)
    assert "\n" not in text
    return text


def change(path: Path, **changes: Any) -> None:
    card = path.with_suffix(".json")
    told = json.loads(card.read_text())
    for key, value in changes.items():
        if value is None:
            del told[key]
        else:
            told[key] = value
    card.write_text(json.dumps(told))


def test_what_was_saved_runs(saved: Path) -> None:
    session, card = weights.session("double", folder=saved.parent, threads=1)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], 2 * x)
    assert card["dimensions"] == ABOUT["dimensions"]
    assert card["format_version"] == weights.FORMAT_VERSION
    assert card == weights.card("double", saved.parent)
    assert weights.names(saved.parent) == ["double"]


def test_only_the_two_files_are_left(saved: Path) -> None:
    assert sorted(path.name for path in saved.parent.iterdir()) == ["double.json", "double.onnx"]


def test_the_cpu_comes_last(saved: Path) -> None:
    session, _ = weights.session("double", folder=saved.parent)
    assert session.get_providers()[-1] == "CPUExecutionProvider"


def test_saving_again_replaces(saved: Path) -> None:
    weights.session("double", folder=saved.parent)
    weights.save("double", doubling(), {**ABOUT, "recipe": "again"}, saved.parent)
    assert weights.session("double", folder=saved.parent)[1]["recipe"] == "again"


def test_missing_files(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(WeightError) as caught:
        weights.session("nothing", folder=tmp_path)
    assert "nothing.json is missing" in one_line(caught)
    saved.unlink()
    with pytest.raises(WeightError) as caught:
        weights.session("double", folder=tmp_path)
    assert "double.onnx is missing" in one_line(caught)


@pytest.mark.parametrize("at", [0, 60, -1])
def test_one_changed_byte_is_noticed(saved: Path, at: int) -> None:
    content = bytearray(saved.read_bytes())
    content[at] ^= 1
    saved.write_bytes(content)
    with pytest.raises(WeightError) as caught:
        weights.session("double", folder=saved.parent)
    assert "damaged" in one_line(caught)


QUIET = """
import sys, time
from pathlib import Path
from kouxing import weights
weights.session(sys.argv[1], threads=1)
time.sleep(1)
"""


def test_nobody_is_told_that_a_network_was_loaded(tmp_path: Path) -> None:
    """ONNX Runtime keeps what it means to report to its maker in the user's folders."""
    environment = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    homes = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA")}
    environment |= {**homes, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    words = [sys.executable, "-c", QUIET, "lips_fast_references"]
    subprocess.run(words, check=True, env=environment, timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_damage_after_a_good_load_is_noticed(saved: Path) -> None:
    weights.session("double", folder=saved.parent)
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(WeightError):
        weights.session("double", folder=saved.parent)


@pytest.mark.parametrize("version", [0, weights.FORMAT_VERSION + 1, "1", None])
def test_other_versions_are_refused(saved: Path, version: Any) -> None:
    change(saved, format_version=version)
    with pytest.raises(WeightError) as caught:
        weights.card("double", saved.parent)
    assert "format version" in one_line(caught)


@pytest.mark.parametrize("key", sorted(set(weights.REQUIRED) - {"format_version"}))
def test_an_incomplete_card_is_refused(saved: Path, key: str) -> None:
    change(saved, **{key: None})
    with pytest.raises(WeightError) as caught:
        weights.session("double", folder=saved.parent)
    assert key in one_line(caught)


def test_data_without_licence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightError):
        weights.save("double", doubling(), {**ABOUT, "data": [{"source": "somewhere"}]}, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff"])
def test_a_card_that_is_no_card(saved: Path, text: str) -> None:
    saved.with_suffix(".json").write_text(text, encoding="utf-8")
    with pytest.raises(WeightError) as caught:
        weights.card("double", saved.parent)
    one_line(caught)


def test_what_is_no_network(tmp_path: Path) -> None:
    weights.save("text", b"not a network", ABOUT, tmp_path)
    with pytest.raises(WeightError) as caught:
        weights.session("text", folder=tmp_path)
    assert "ONNX Runtime" in one_line(caught)


@pytest.mark.parametrize("name", ["", "../out", "a/b", "a b"])
def test_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightError):
        weights.save(name, doubling(), ABOUT, tmp_path)


def test_a_figure_that_json_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(WeightError):
        weights.save("double", doubling(), {**ABOUT, "figures": {"error": float("nan")}}, tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_own_weights_come_before_the_shipped(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUXING_WEIGHTS", str(saved.parent))
    assert weights.card("double")["recipe"] == "by hand"
    # Several, as in PATH: the first that has the pair.
    other = saved.parent / "other"
    weights.save("triple", doubling(), {**ABOUT, "recipe": "by foot"}, other)
    monkeypatch.setenv("KOUXING_WEIGHTS", os.pathsep.join([str(other), str(saved.parent)]))
    assert weights.card("double")["recipe"] == "by hand" and weights.card("triple")["recipe"] == "by foot"
    assert weights.card("speech")["recipe"] == weights.card("speech", weights.SHIPPED)["recipe"]
    # A run that has not ended is not passed over: shipped weights would be taken for one's own.
    unfinished = saved.parent / "unfinished"
    unfinished.mkdir()
    for wrong in (unfinished, saved.parent / "nowhere"):
        monkeypatch.setenv("KOUXING_WEIGHTS", str(wrong))
        with pytest.raises(WeightError, match=f"KOUXING_WEIGHTS names .*{wrong.name}"):
            weights.card("double")


def test_a_provider_that_is_not_there(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    if "DmlExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has DirectML")
    monkeypatch.setenv("KOUXING_PROVIDER", "directml")
    with pytest.raises(WeightError, match="directml"):
        weights.session("double", folder=saved.parent)


@pytest.mark.parametrize("name", weights.names())
def test_shipped_weights_load(name: str) -> None:
    session, card = weights.session(name, threads=1)
    assert session.get_outputs()
    assert all(source["licence"] for source in card["data"])


def test_shipped_weights_fit_the_wheel() -> None:
    assert sum(path.stat().st_size for path in weights.SHIPPED.glob("*.onnx")) <= 60e6


@pytest.mark.parametrize(
    "environ",
    [
        {"KOUXING_THREADS": "0"},
        {"KOUXING_THREADS": "-2"},
        {"KOUXING_THREADS": "many"},
        {"KOUXING_PROVIDER": "abacus"},
        {"KOUXING_SIGN_CERTIFICATE": "chain.pem"},
    ],
)
def test_settings_that_mean_nothing(environ: dict[str, str]) -> None:
    with pytest.raises(OptionError, match=next(iter(environ))):
        config.load(environ)


def test_settings() -> None:
    assert config.load({}) == config.Config(threads=config.cores())
    told = config.load(
        {"KOUXING_THREADS": "3", "KOUXING_PROVIDER": "CPU", "KOUXING_WEIGHTS": "w", "KOUXING_TRACEBACK": "1"}
    )
    assert told == config.Config(3, (Path("w"),), "cpu", True)
    assert not config.load({"KOUXING_TRACEBACK": "0"}).traceback
