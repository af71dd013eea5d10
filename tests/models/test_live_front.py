"""The front's layers: state in, state out, blind to what is to come."""

import torch

from kouxing.models.live_front import FrontDimensions, LiveFront

SIZE = FrontDimensions(width=16, heads=2, turned=4, layers=2, past=6)


def model() -> LiveFront:
    torch.manual_seed(0)
    made = LiveFront(SIZE).eval()
    made.rates.copy_(torch.tensor([1.0, 0.1]))
    return made


@torch.no_grad()
def test_chunks_give_what_the_whole_gives() -> None:
    front, samples = model(), torch.randn(2, 19 * 384 + 895)
    whole, _ = front(samples, front.initial_state(2))
    state, parts = front.initial_state(2), []
    for first, last in ((0, 1), (1, 9), (9, 20)):
        told, state = front(samples[:, first * 384 : (last - 1) * 384 + 895], state)
        parts.append(told)
    assert whole.shape == (2, 20, 16)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_layers_look_back_so_far_and_never_ahead() -> None:
    front, x = model(), torch.randn(1, 30, 16)
    before, _ = front.told(x, front.initial_state(1))
    changed = x.clone()
    changed[:, 10, 0] += 5
    after, _ = front.told(changed, front.initial_state(1))
    differs = (after - before).abs().amax((0, 2)) > 1e-6
    # Two layers of six frames each.
    assert differs.nonzero().flatten().tolist() == list(range(10, 23))


@torch.no_grad()
def test_what_was_never_heard_is_not_attended_to() -> None:
    front, x = model(), torch.randn(1, 1, 16)
    told, _ = front.told(x, front.initial_state(1))
    alone = x
    for layer in front.layers:
        inner = layer.norm(alone)
        alone = alone + layer.out(layer.value(inner))
        alone = alone + layer.narrow(torch.nn.functional.gelu(layer.wide(layer.second_norm(alone))))
    torch.testing.assert_close(told, front.readout(alone))
