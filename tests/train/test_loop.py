"""The loop: learns, resumes to the same weights, refuses another configuration."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from kouxing.errors import DataError, OptionError, OutputError
from kouxing.media.aside import make_folder
from kouxing.train.loop import (
    BEST,
    OPTIMISERS,
    Schedule,
    best_figures,
    check_device,
    counting,
    load_tensors,
    native,
    rate_at,
    train,
    write_aside,
)


@dataclass
class Line:
    """Fits y = 3 x + 1."""

    model: nn.Module

    def batch(self, number: int) -> dict[str, Tensor]:
        x = torch.randn(16, 1, generator=torch.Generator().manual_seed(number))
        return {"x": x, "y": 3 * x + 1}

    def step(self, model: nn.Module, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        loss = (model(batch["x"]) - batch["y"]).square().mean()
        return loss, {"line/loss": loss.detach()}

    def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
        return {"score": -float((model(torch.ones(1, 1)) - 4).abs())}


SCHEDULE = Schedule(steps=60, rate=0.2, warmup=5, validate_every=20, ema=0.5, decay=0.0, save_every_s=1e9)


def task() -> Line:
    torch.manual_seed(0)
    return Line(nn.Linear(1, 1))


def quiet(_: str) -> None:
    pass


def test_learns_and_keeps_the_best(tmp_path: Path) -> None:
    best = train(task(), SCHEDULE, tmp_path, report=quiet)
    assert (best(torch.ones(1, 1)) - 4).abs() < 0.3
    again = nn.Linear(1, 1)
    load_tensors(again, tmp_path / BEST)
    assert torch.equal(again.weight, best.weight)
    assert best_figures(tmp_path)["score"] > -0.3


def test_only_our_lines_are_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    lightning = logging.getLogger("lightning_fabric")
    lightning.setLevel(logging.INFO)
    lightning.addHandler(caplog.handler)
    train(task(), replace(SCHEDULE, steps=1, precision="bf16-mixed"), tmp_path, report=quiet)
    lightning.removeHandler(caplog.handler)
    assert not caplog.records


@pytest.mark.parametrize(("known", "used"), [(False, "32-true"), (True, "bf16-mixed")])
def test_bfloat16_only_where_the_processor_has_it(
    known: bool, used: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: known)
    for device in ("cpu", "auto"):
        assert native("bf16-mixed", device) == used
    with monkeypatch.context() as older:
        older.delattr(torch.cpu, "_is_avx512_bf16_supported")
        assert native("bf16-mixed", "cpu") == "32-true"
    assert native("32-true", "cpu") == "32-true" and native("bf16-mixed", "cuda") == "bf16-mixed"
    lines: list[str] = []
    train(task(), replace(SCHEDULE, steps=1, precision="bf16-mixed"), tmp_path, report=lines.append)
    assert any("32-true in place of bf16-mixed" in line for line in lines) != known


def test_a_killed_run_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def dropping() -> Line:
        torch.manual_seed(0)
        return Line(nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.5), nn.Linear(8, 1)))

    broken = dropping()
    batch = broken.batch

    def stop(number: int) -> dict[str, Tensor]:
        if number == 40:
            raise Killed
        return batch(number)

    broken.batch = stop  # type: ignore[method-assign]
    often = replace(SCHEDULE, save_every_s=0.0)
    with pytest.raises(Killed):
        train(broken, often, tmp_path / "a", report=quiet)
    resumed = train(dropping(), often, tmp_path / "a", report=quiet).state_dict()
    whole = train(dropping(), often, tmp_path / "b", report=quiet).state_dict()
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_what_learns_beside_the_model_is_resumed_too(tmp_path: Path) -> None:
    class Counting(Line):
        seen = 0

        def step(self, model: nn.Module, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
            self.seen += 1
            return super().step(model, batch, progress)

        def memory(self) -> dict[str, Tensor]:
            return {"seen": torch.tensor(self.seen)}

        def remember(self, kept: dict[str, Tensor]) -> None:
            self.seen = int(kept["seen"])

    first, again = Counting(nn.Linear(1, 1)), Counting(nn.Linear(1, 1))
    ends = iter([True])
    train(first, SCHEDULE, tmp_path, report=quiet, enough=lambda: next(ends))
    assert first.seen == 20
    # One that ended by itself has ended: the same command trains no further.
    train(again, SCHEDULE, tmp_path, report=quiet)
    assert again.seen == 20


def test_a_score_that_cannot_be_told_leaves_weights(tmp_path: Path) -> None:
    class Untold(Line):
        def validate(self, model: nn.Module, folder: Path, step: int) -> dict[str, float]:
            return {"score": float("nan") if step < 60 else -1.0}

    blind = Untold(nn.Linear(1, 1))
    train(blind, replace(SCHEDULE, steps=20), tmp_path / "a", report=quiet)
    assert best_figures(tmp_path / "a")["step"] == 20
    train(Untold(nn.Linear(1, 1)), SCHEDULE, tmp_path / "b", report=quiet)
    assert best_figures(tmp_path / "b")["step"] == 60


@dataclass
class Broken(Line):
    """Some batches hold what is no number."""

    bad: range

    def batch(self, number: int) -> dict[str, Tensor]:
        made = super().batch(number)
        return made | {"x": made["x"] * float("inf")} if number in self.bad else made


def test_a_broken_batch_costs_its_step_alone(tmp_path: Path) -> None:
    said: list[str] = []
    best = train(Broken(task().model, range(5, 8)), SCHEDULE, tmp_path, report=said.append)
    assert (best(torch.ones(1, 1)) - 4).abs() < 0.3
    assert [line for line in said if "left out" in line] == [
        f"step {step}/60 left out: its gradient is no finite number" for step in (6, 7, 8)
    ]


def test_a_run_without_gradients_ends_and_keeps_what_it_had(tmp_path: Path) -> None:
    whole = replace(SCHEDULE, save_every_s=0.0)
    with pytest.raises(DataError, match="10 steps in a row"):
        train(Broken(task().model, range(30, 60)), whole, tmp_path, report=quiet)
    again = nn.Linear(1, 1)
    load_tensors(again, tmp_path / BEST)
    assert all(torch.isfinite(value).all() for value in again.parameters())
    kept = load_file(tmp_path / "checkpoint.safetensors")
    assert all(torch.isfinite(value).all() for value in kept.values() if value.is_floating_point())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_and_a_folder_that_is_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "best.part.safetensors").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="disk is full"):
        write_aside(tmp_path / "best.safetensors", {"x": torch.zeros(100_000)}, {})
    assert not (tmp_path / "best.safetensors").exists()
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(OutputError, match="a file stands where its folder should be"):
        make_folder(tmp_path / "file" / "run")


def test_refuses_another_configuration(tmp_path: Path) -> None:
    train(task(), SCHEDULE, tmp_path, report=quiet)
    with pytest.raises(DataError, match=r"another configuration \(schedule.rate 0.2, now 0.1\)"):
        train(task(), replace(SCHEDULE, rate=0.1), tmp_path, report=quiet)


def test_a_damaged_configuration_is_told(tmp_path: Path) -> None:
    train(task(), SCHEDULE, tmp_path, report=quiet)
    (tmp_path / "config.json").write_text("[", "utf-8")
    with pytest.raises(DataError, match=r"config.json: is no configuration"):
        train(task(), SCHEDULE, tmp_path, report=quiet)


def test_how_often_is_saved_is_no_other_configuration(tmp_path: Path) -> None:
    train(task(), SCHEDULE, tmp_path, report=quiet)
    train(task(), replace(SCHEDULE, save_every_s=5.0), tmp_path, report=quiet)


def test_an_absent_device_is_told(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has the device that the test needs to be absent")
    with pytest.raises(OptionError, match="--device cuda"):
        train(task(), SCHEDULE, tmp_path, device="cuda", report=quiet)


@pytest.mark.parametrize("name", list(OPTIMISERS))
def test_each_optimiser_learns_and_resumes(tmp_path: Path, name: str) -> None:
    rate = {"sgd": 0.05, "adagrad": 0.5}.get(name, 0.2)
    own = replace(SCHEDULE, optimiser=name, rate=rate, save_every_s=0.0)
    best = train(task(), own, tmp_path / "whole", report=quiet)
    assert (best(torch.ones(1, 1)) - 4).abs() < 0.5
    with pytest.raises(KeyboardInterrupt):
        train(Killed(task().model, 30), own, tmp_path / "killed", report=quiet)
    again = train(task(), own, tmp_path / "killed", report=quiet)
    assert torch.equal(again.weight, best.weight)


@dataclass
class Killed(Line):
    """Somebody stops it."""

    last: int

    def batch(self, number: int) -> dict[str, Tensor]:
        if number == self.last:
            raise KeyboardInterrupt
        return super().batch(number)


def test_another_optimiser_is_refused() -> None:
    with pytest.raises(OptionError, match="--optimiser lion: choose one of adamw, adam, sgd, adagrad"):
        replace(SCHEDULE, optimiser="lion")


def test_a_device_is_checked_before_any_work() -> None:
    check_device("cpu")
    with pytest.raises(OptionError, match="--device tpu: choose one of cpu, cuda, mps, auto"):
        check_device("tpu")


def test_long_waits_are_counted() -> None:
    told: list[str] = []
    for every_s in (0.0, 3600.0):
        progress = counting(told.append, "clips", every_s)
        for done in (1, 2):
            progress(done, 2)
    assert told == ["clips: 1/2", "clips: 2/2"]


def test_rate_warms_up_and_falls() -> None:
    rates = [rate_at(SCHEDULE, step) for step in range(60)]
    assert rates[0] == pytest.approx(0.04) and max(rates) == pytest.approx(0.2)
    assert rates[:5] == sorted(rates[:5]) and rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.02
