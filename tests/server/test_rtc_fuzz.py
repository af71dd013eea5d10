"""Whatever a viewer sends is taken or refused in one line; nothing else happens."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kouxing.errors import OptionError
from kouxing.server.render_stream import RenderedStream
from kouxing.server.rtc_peer import Ice, Peer, check_offer
from rendered_world import LampPlan, Viewer

VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
MESSAGES = (
    st.binary(max_size=200)
    | st.text(max_size=200)
    | st.dictionaries(st.sampled_from(["event", "text", "language", "x"]), VALUES | st.lists(VALUES, max_size=3)).map(
        json.dumps
    )
)


@given(st.lists(MESSAGES, max_size=8))
def test_messages_of_any_kind(messages: list[bytes | str]) -> None:
    peer = object.__new__(Peer)
    peer.stream, peer._say, peer._tasks = RenderedStream(LampPlan()), None, set()
    told: list[str] = []
    for message in messages:
        answer = peer._message(message, told.append)
        assert answer is None or (answer and "\n" not in answer)
    assert np.isfinite(peer.stream.waiting_s)


@pytest.mark.parametrize("message", ["[" * 60_000, '{"event":' * 7_000, '{"event": ' + "9" * 5_000 + "}"])
def test_messages_that_no_reader_can_hold(message: str) -> None:
    peer = object.__new__(Peer)
    assert peer._message(message, lambda problem: None) == 'orders are JSON objects with "event"'


@given(st.text(max_size=400))
def test_texts_that_are_no_offers(text: str) -> None:
    with pytest.raises(OptionError) as told:
        check_offer(text)
    assert "\n" not in str(told.value)


@pytest.fixture(scope="module")
def offer() -> str:
    async def made() -> str:
        viewer = Viewer()
        sdp = await viewer.offer()
        await viewer.close()
        return sdp

    return asyncio.run(made())


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_offers_that_were_damaged_on_the_way(offer: str, seed: int) -> None:
    chance = random.Random(seed)
    lines = offer.splitlines(keepends=True)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(lines))
        kind = chance.randrange(4)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, chance.choice(lines))
        elif kind == 2:
            cut = chance.randrange(len(lines[at]) or 1)
            lines[at] = lines[at][:cut] + chance.choice(["", "\x00", "9" * 30, "é", " "]) + lines[at][cut + 1 :]
        else:
            lines[at] = lines[at].replace(chance.choice("0123456789 :/"), chance.choice("0123456789 :/-"))
    asyncio.run(_tried("".join(lines)))


async def _tried(sdp: str) -> None:
    gone: list[Any] = []
    peer = Peer("viewer", RenderedStream(LampPlan()), Ice(), None, gone.append)
    try:
        check_offer(sdp)
        assert (await asyncio.wait_for(peer.answer(sdp), 20)).startswith("v=0")
    except OptionError as error:
        assert "\n" not in str(error)
    finally:
        await asyncio.wait_for(peer.close(), 20)
    assert gone == [peer]
