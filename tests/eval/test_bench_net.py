"""The reference network of the speed benchmark has the published size, and the counters count right."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from kouxing.errors import WeightError
from kouxing.weights import SHIPPED
from scripts import script

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return script("benchmarks/bench_net.py")


def test_reference_has_the_published_size(bench: ModuleType, tmp_path: Path) -> None:
    net = bench.Wav2Lip()
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(36.3, abs=0.05)
    path = bench.reference_onnx(tmp_path / "net.onnx")
    assert bench.count_macs(path) / 1e9 == pytest.approx(3.97, abs=0.01)
    assert bench.count_parameters(path) / 1e6 == pytest.approx(36.3, abs=0.05)


def test_counters_and_race_on_a_small_network(bench: ModuleType, tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.ConvTranspose2d(8, 3, 4, 2, 1)).eval()
    path = tmp_path / "small.onnx"
    torch.onnx.export(net, (torch.zeros(1, 3, 32, 32),), str(path), input_names=["x"], dynamo=False)
    assert bench.count_parameters(path) == 3 * 8 * 9 + 8 + 8 * 3 * 16 + 3
    assert bench.count_macs(path) == 16 * 16 * 8 * 27 + 16 * 16 * 8 * 3 * 16
    speeds = bench.race(path, path, threads=1, rounds=5)
    assert speeds.ours_ms > 0
    assert bench.Speeds(2.0, 5.0).speedup == 2.5


def test_own_weights_are_raced_where_they_are(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOUXING_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightError, match="holds no weights"):
        bench.ours_path(None)
    (tmp_path / "sync_mouth.onnx").touch()
    assert bench.ours_path(None) == SHIPPED / f"{bench.OURS}.onnx"
    own = tmp_path / f"{bench.OURS}.onnx"
    own.touch()
    assert bench.ours_path(None) == own and bench.ours_path(Path("other")) == Path("other")


def test_missing_network_is_one_line(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_net.py", "--ours", str(tmp_path / "none.onnx")])
    assert bench.main() == 2
    assert "none.onnx" in capsys.readouterr().err
