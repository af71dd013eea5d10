"""Weights stored in eight bits: a quarter of the size, the same numbers as the rounded network's."""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from kouxing.train.export import _export, _round_to_steps, halve, quarter


class Net(nn.Module):
    """A convolution, and a matrix that the exporter turns round."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv1d(32, 48, 3), nn.Linear(48, 40)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.conv(x).transpose(1, 2))


@torch.no_grad()
def test_eight_bits_are_exact_after_rounding_and_near_before() -> None:
    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(1, 32, 20)
    before = net(x)
    _round_to_steps(net)
    rounded = net(x)
    assert 0 < (rounded - before).abs().max() < 0.03
    plain = _export(net, (x,), ["x"], ["y"])
    small = quarter(plain)
    made = onnxruntime.InferenceSession(small, providers=["CPUExecutionProvider"]).run(None, {"x": x.numpy()})[0]
    np.testing.assert_allclose(made, rounded.numpy(), atol=1e-5)
    assert len(small) < 0.7 * len(halve(plain)) < 0.5 * len(plain)
