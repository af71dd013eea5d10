"""A listener that stops reading is let go of, whatever waits for it."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from typing import Any

import pytest

pytest.importorskip("fastapi")

import uvicorn

from kouxing.server.serve import bind
from kouxing.server.sockets import ImpatientSocket


def greet(port: int) -> socket.socket:
    """A WebSocket whose buffers are as small as they may be, and that is never read again."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    made.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    made.sendall(
        f"GET / HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return made


@pytest.mark.parametrize("way", ["much", "little", "goodbye"])
def test_who_does_not_read_is_cut_off(way: str) -> None:
    ended = asyncio.Event()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        try:
            for _ in range(10_000 if way == "much" else 1):
                await send({"type": "websocket.send", "bytes": bytes(4096 if way == "much" else 30_000)})
            if way == "goodbye":
                await send({"type": "websocket.close", "code": 1000})
            while (await receive())["type"] != "websocket.disconnect":
                pass
        except OSError:
            # Uvicorn's word for a client that is gone.
            pass
        ended.set()

    async def run() -> None:
        bound = bind("127.0.0.1", 0)
        config = uvicorn.Config(
            app, ws=ImpatientSocket, ws_ping_interval=0.2, ws_ping_timeout=0.4, lifespan="off", log_level="error"
        )
        server = uvicorn.Server(config)
        task = asyncio.get_running_loop().create_task(server.serve(sockets=[bound]))
        client = await asyncio.to_thread(greet, bound.getsockname()[1])
        try:
            await asyncio.wait_for(ended.wait(), 20)
            async with asyncio.timeout(20):
                while server.server_state.connections:
                    await asyncio.sleep(0.05)
        finally:
            client.close()
            server.should_exit = server.force_exit = True
            await task

    asyncio.run(run())
