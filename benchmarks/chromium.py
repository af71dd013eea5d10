"""Debian's Chromium without a window, driven by its DevTools protocol: open a page, run JavaScript in it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import websockets

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream", "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows", "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """An open page."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._number = 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A DevTools command and its result."""
        self._number += 1
        await self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            told = json.loads(await self._socket.recv())
            if told.get("id") == self._number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                return dict(told["result"])

    async def run(self, script: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        told = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in told:
            raise RuntimeError(str(told["exceptionDetails"].get("exception", told))[:2000])
        return told["result"].get("value")

    async def open(self, address: str) -> None:
        """Go there and wait until it has loaded."""
        await self.call("Page.enable")
        await self.call("Page.navigate", url=address)
        while await self.run("document.readyState") != "complete":
            await asyncio.sleep(0.1)


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Page]:
    """A browser with an empty page; ended with the block."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("a Chromium is needed: on Debian apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="kouxing-chromium-", ignore_cleanup_errors=True) as folder:
        # A terminal is another machine as a rule: here it must not take the server's time.
        calm = ["nice", "-n", "5"] if shutil.which("nice") else []
        command = [*calm, program, *FLAGS, *flags, f"--user-data-dir={folder}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = await _port(Path(folder) / "DevToolsActivePort")
            address = await asyncio.to_thread(_page, port)
            async with websockets.connect(address, max_size=1 << 28, ping_interval=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


async def _port(place: Path) -> int:
    for _ in range(300):
        if place.is_file() and (text := place.read_text()).count("\n"):
            return int(text.splitlines()[0])
        await asyncio.sleep(0.1)
    raise SystemExit("Chromium does not start")


def _page(port: int) -> str:
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
        return next(str(one["webSocketDebuggerUrl"]) for one in json.load(answer) if one["type"] == "page")
