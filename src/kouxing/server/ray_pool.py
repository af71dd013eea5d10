"""Workers as replicas of Ray Serve, on any machine of a Ray cluster: ``kouxing serve --ray ADDRESS``.

Each worker is a Serve application with one replica, so that a stream's sound always comes to the one that knows it.
What waits for a replica goes in one call when the former is answered, and rows come back as its answer: on a slow
network calls become fewer and larger instead of piling up.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from kouxing.errors import KouxingError, OptionError
from kouxing.server.deadline import within
from kouxing.server.pipe import Reader, Say, packed_json
from kouxing.server.pool import Pool
from kouxing.server.workers import Heard, Worker

LOG = logging.getLogger("kouxing.server")

LOCAL = "local"
REACH_S = 3.0
"""In which the cluster's port must answer; Ray itself would try for a minute."""
STORE_BYTES = 80_000_000
"""Of a local Ray's shared memory, its least; calls as small as ours do not use it."""
ABSENT_S = 60.0
"""A replica that no server has spoken to for so long removes its application: its server was killed."""
STUCK_S = 8.0
"""A call that takes so long hangs; Ray Serve then replaces the replica."""
AGAIN_S = 0.5
START_S = 120.0
"""In which all replicas must be there."""
STOP_S = 15.0
TRIES = 3
"""To start a Ray of our own."""


class Replica:
    """What runs in the cluster: the networks of one worker.

    Args:
        app: name of its Serve application.
        methods: models to load.
    """

    def __init__(self, app: str, methods: list[str]) -> None:
        from kouxing.server import worker

        self._app = app
        self._key = ""
        self._heard_s = time.monotonic()
        self._began_s: float | None = None
        self._out: list[bytes] = []
        self._fault: str | None = None
        self._leaving = False
        try:
            self._worker = worker.Worker(methods, self._out.append)
        except KouxingError as error:
            self._fault = str(error)

    def begin(self) -> tuple[str, int, bytes]:
        """A server takes over: its key for ``take``, this process's id, and the worker's first message."""
        self._heard_s = time.monotonic()
        self._key = secrets.token_hex(8)
        self._out.clear()
        if self._fault is not None:
            return self._key, os.getpid(), packed_json(Say.FAULT, 0, self._fault)
        self._worker.clear()
        self._reader = Reader()
        return self._key, os.getpid(), self._worker.ready()

    def take(self, key: str, data: bytes) -> bytes | None:
        """Messages in, messages out; None: this is another replica than the one that gave ``key``."""
        if key != self._key:
            return None
        self._heard_s = self._began_s = time.monotonic()
        try:
            for say, stream, payload in self._reader.feed(data):
                self._worker.take(say, stream, payload)
        finally:
            self._began_s = None
        told = b"".join(self._out)
        self._out.clear()
        return told

    def check_health(self) -> None:
        """Ray Serve asks.

        Raises:
            RuntimeError: a call hangs.
        """
        now = time.monotonic()
        if self._began_s is not None and now - self._began_s > STUCK_S:
            raise RuntimeError("a call hangs")
        if now - self._heard_s > ABSENT_S and not self._leaving:
            self._leaving = True
            # From a thread: what asks here is what would have to answer.
            threading.Thread(target=self._leave, daemon=True).start()

    def _leave(self) -> None:
        import_module("ray.serve").delete(self._app, _blocking=False)


class RayWorker(Worker):
    """One replica, seen from the server.

    Args:
        heard: see ``Worker``.
        handle: of its application.
        died: what its calls raise when the replica has died.
    """

    def __init__(self, heard: Heard, handle: Any, died: type[Exception]) -> None:
        super().__init__(heard)
        self._died = died
        self.key = ""
        self._out: list[bytes] = []
        self._some = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._talk(handle))

    def send(self, data: bytes) -> None:
        """See ``Worker``."""
        self._out.append(data)
        self._some.set()

    def end(self) -> None:
        """See ``Worker``: the replica is left to Ray Serve."""
        self.lost()
        self._task.cancel()

    def kill(self) -> None:
        """See ``Worker``: whoever takes over next begins anew; Ray Serve replaces a replica that hangs."""
        self.end()

    def release(self) -> None:
        """See ``Worker``."""
        self._task.cancel()

    async def _talk(self, handle: Any) -> None:
        try:
            self.key, self.pid, first = await self._begin(handle)
            self.take(first)
            while True:
                await self._some.wait()
                self._some.clear()
                data = b"".join(self._out)
                self._out.clear()
                answer = await handle.take.remote(self.key, data)
                if answer is None:
                    return
                self.take(answer)
        # Ray's errors have no common ancestor; whichever it is, this replica is lost and its streams move on.
        except Exception as error:  # noqa: BLE001
            LOG.warning("replica %s: %s", self.pid, _line(error))
        finally:
            self.lost()
            self.exited.set()

    async def _begin(self, handle: Any) -> tuple[str, int, bytes]:
        """Its first answer; a replica that has just died is still being replaced."""
        while True:
            try:
                told: tuple[str, int, bytes] = await handle.begin.remote()
                return told
            except self._died:
                await asyncio.sleep(AGAIN_S)


class RayPool(Pool):
    """A number of replicas of Ray Serve.

    Args:
        count: of replicas.
        methods: models that each loads at its start.
        address: ``local``: a Ray is started on this machine and ends with the server; else ``HOST:PORT`` of a cluster
            that this machine belongs to, or ``auto`` for the one that runs here.
    """

    def __init__(self, count: int, methods: Sequence[str], address: str) -> None:
        super().__init__(count, methods)
        self._address = address
        self._name = f"kouxing-{secrets.token_hex(4)}"
        self._handles: list[Any] = []
        self._deployed = False
        self._up: asyncio.Future[None] | None = None
        self._down: asyncio.Future[None] | None = None
        self._leave = threading.Event()

    async def start(self) -> None:
        """See ``Pool``.

        Raises:
            OptionError: there is no Ray, no such cluster, or too few processors in it.
        """
        loop = asyncio.get_running_loop()
        self._up, self._down = loop.create_future(), loop.create_future()
        # It is not waited for at the program's end: Ray looks for a cluster for many minutes.
        threading.Thread(target=self._live, args=(loop,), daemon=True).start()
        try:
            await within(self._up, START_S)
        except TimeoutError:
            raise OptionError(f"--ray {self._address}: it did not take the workers within {START_S:g} s") from None
        await super().start()

    async def close(self) -> None:
        """See ``Pool``."""
        await super().close()
        self._leave.set()
        if self._down is not None:
            with suppress(TimeoutError):
                await within(self._down, STOP_S)

    async def begin(self, slot: int) -> Worker:
        """See ``Pool``."""
        return RayWorker(self.heard, self._handles[slot], import_module("ray.exceptions").RayActorError)

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ray from its start to its end, in one thread: its processes end with the thread that started them."""
        error: Exception | None = None
        try:
            self._deploy()
        except KouxingError as raised:
            error = raised
        # What Ray raises here is of many kinds, bare ``Exception`` among them; all mean: none to work with.
        except Exception as raised:  # noqa: BLE001
            error = OptionError(f"--ray {self._address}: {_line(raised)}")
        if error is None:
            _tell(loop, self._up, None)
            self._leave.wait()
        self._disconnect()
        _tell(loop, self._up, error)
        _tell(loop, self._down, None)

    def _deploy(self) -> None:
        if self._address != LOCAL:
            check_address(self._address)
        else:
            # Ray then binds to the loopback address instead of the machine's own; read once, when it is imported.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        ray, serve = imported()
        self._init(ray)
        processors = int(ray.cluster_resources().get("CPU", 0))
        if processors < self._count:
            raise OptionError(f"--workers {self._count}: Ray has {processors} processors; ask for fewer")
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        serve.start(proxy_location="Disabled")
        self._deployed = True
        self._handles = serve.run_many([self._target(serve, slot) for slot in range(self._count)])

    def _init(self, ray: Any) -> None:
        for _ in range(TRIES - 1):
            try:
                ray.init(**self._how())
                return
            except Exception as error:
                # Ray waits 15 s for its own helpers, which a busy machine may need to load alone.
                if "timed out" not in str(error):
                    raise
                ray.shutdown()
        ray.init(**self._how())

    def _how(self) -> dict[str, Any]:
        """For ``ray.init``."""
        told: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "namespace": "kouxing"}
        if self._address != LOCAL:
            return {**told, "address": self._address}
        # The processors that Ray counts; ours share them with this process.
        return {
            **told, "address": LOCAL, "num_cpus": self._count, "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
        }  # fmt: skip

    def _target(self, serve: Any, slot: int) -> Any:
        app = f"{self._name}-{slot}"
        deployment = serve.deployment(
            num_replicas=1, max_ongoing_requests=4, ray_actor_options={"num_cpus": 1}, health_check_period_s=1,
            health_check_timeout_s=STUCK_S, graceful_shutdown_timeout_s=2, graceful_shutdown_wait_loop_s=0.5,
        )(Replica)  # fmt: skip
        bound = deployment.options(name="worker").bind(app, self._methods)
        return serve.RunTarget(bound, name=app, route_prefix=None)

    def _disconnect(self) -> None:
        with suppress(OptionError):
            ray, serve = imported()
            if not ray.is_initialized():
                return
            with suppress(Exception):
                if self._address == LOCAL:
                    serve.shutdown()
                elif self._deployed:
                    for slot in range(self._count):
                        serve.delete(f"{self._name}-{slot}", _blocking=False)
            ray.shutdown()


def imported() -> tuple[Any, Any]:
    """Ray and its Serve, told not to report to anybody.

    Raises:
        OptionError: not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_SERVE_LOG_LEVEL", "WARNING")
    try:
        return import_module("ray"), import_module("ray.serve")
    except ImportError as error:
        raise OptionError("--ray needs Ray Serve; run: pip install 'kouxing[live,cluster]'") from error


def check_address(address: str) -> None:
    """Whether a cluster can be there.

    Raises:
        OptionError: it cannot, or nothing answers.
    """
    if address == "auto":
        return
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or "/" in address:
        raise OptionError(f"--ray {address}: write local, auto or HOST:PORT of the cluster, e.g. 10.0.0.1:6379")
    try:
        socket.create_connection((host, port), REACH_S).close()
    except OSError as error:
        raise OptionError(
            f"--ray {address}: nothing answers there ({error.strerror or error}); is the cluster up?"
        ) from error


def _tell(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None] | None, error: Exception | None) -> None:
    """Settle a future of another thread's loop."""

    def settle() -> None:
        if future is not None and not future.done():
            future.set_exception(error) if error is not None else future.set_result(None)

    with suppress(RuntimeError):
        # The loop may be gone by now.
        loop.call_soon_threadsafe(settle)


def _line(error: BaseException) -> str:
    """The first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
