"""The live server over loopback: delays, load, interruptions, texts, killed workers, an hour's soak.

    python benchmarks/bench_live.py [--sessions 20] [--seconds 60] [--soak MINUTES] [--only talk,load,…] [--no-write]

Server and terminals are processes of their own on the same cores; sound and rows go through real WebSockets.
``p50_ms`` and ``p99_ms``: from the moment a frame of sound has been sent to the arrival of the row whose time lies in
it, so that the model's look-ahead is part of it. See ``live_terminals.py`` for how each is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kouxing.config import one_thread_a_library

one_thread_a_library()

from kouxing.eval import figures  # noqa: E402

TERMINALS = Path(__file__).with_name("live_terminals.py")
START_S = 120
WARM_SHARE = 0.2
"""Of a soak: memory is compared from then on."""
CLOSE_S = 60
"""After a soak, in which the last connections must be closed."""
STAGES = ("talk", "load", "interrupt", "text", "silence", "recover", "soak")
"""Of ``MEASURES``; ``ray`` needs ``kouxing[cluster]`` and runs only when it is asked for."""


class Server:
    """A running ``kouxing serve``.

    Attributes:
        url: of its WebSocket. pid: of its main process.
    """

    def __init__(self, process: subprocess.Popen[str], http: str) -> None:
        self.pid = process.pid
        self.url = re.sub("^http", "ws", http) + "v1/live"

    @property
    def processes(self) -> list[int]:
        """The server's, its workers' and its text to speech's."""
        # Each of its threads may have started some.
        told = [one.read_text(encoding="ascii") for one in Path(f"/proc/{self.pid}/task").glob("*/children")]
        return [self.pid, *sorted(int(pid) for one in told for pid in one.split())]

    @property
    def workers(self) -> list[int]:
        """The processes that run the networks."""
        return [pid for pid in self.processes[1:] if "kouxing.server.worker" in _command(pid)]

    def memory_mb(self) -> tuple[float, float]:
        """Of all its processes: what they allocated, and with it their share of the files that they map.

        That share falls and rises by tens of MB as other programs of the machine map the same libraries or the kernel
        takes unused pages back; only the former tells of a leak.
        """
        own = whole = 0
        for pid in self.processes:
            told = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            parts = {key: int(kb) for key, kb in re.findall(r"^(Pss\w*):\s+(\d+) kB", told, re.MULTILINE)}
            own += parts.get("Pss_Anon", 0) + parts.get("Pss_Shmem", 0)
            whole += parts.get("Pss", 0)
        return own / 1024, whole / 1024

    def open_files(self) -> Counter[str]:
        """Sockets, pipes and files of its main process, by kind or name."""
        found: Counter[str] = Counter()
        for one in Path(f"/proc/{self.pid}/fd").iterdir():
            # One may be closed while the folder is read.
            with suppress(OSError):
                found[re.sub(r":\[\d+\]$", "", os.readlink(one))] += 1
        return found

    def cpu_s(self) -> float:
        """Processor time of all its processes."""
        ticks = 0
        for pid in self.processes:
            parts = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += int(parts[11]) + int(parts[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


@contextmanager
def served(*words: str) -> Iterator[Server]:
    """A server for a while."""
    command = [sys.executable, "-m", "kouxing", "serve", "--port", "0", "--no-browser", "--no-jobs", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            raise SystemExit(f"bench_live: the server did not start: {line}")
        yield Server(process, found[0])
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def terminals(mode: str, server: Server, **options: Any) -> dict[str, Any]:
    """Run the terminals' process; gives what it measured."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = subprocess.run(
        [sys.executable, str(TERMINALS), mode, server.url, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"bench_live: {mode}: {done.stderr.strip().splitlines()[-1:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{mode}: {json.dumps(told)}; load {os.getloadavg()[0]:.1f}", flush=True)
    return told


def talk(options: argparse.Namespace) -> dict[str, float]:
    """One session."""
    with served() as server:
        told = terminals("talk", server, sessions=1, seconds=options.seconds, chunk_ms=10)
    return {"p50_ms": told["p50_ms"], "p99_ms": told["p99_ms"]}


def ray(options: argparse.Namespace) -> dict[str, float]:
    """One session whose worker is a replica in a Ray of this machine."""
    with served("--ray", "local", "--workers", "1") as server:
        told = terminals("talk", server, sessions=1, seconds=options.seconds, chunk_ms=10)
    return {"ray_p50_ms": told["p50_ms"], "ray_p99_ms": told["p99_ms"]}


def load(options: argparse.Namespace) -> dict[str, float]:
    """Many sessions at 60 rows a second."""
    with served("--sessions", str(options.sessions)) as server:
        before, began = server.cpu_s(), time.monotonic()
        told = terminals("talk", server, sessions=options.sessions, seconds=options.seconds, chunk_ms=20)
        share = (server.cpu_s() - before) / (time.monotonic() - began)
    kept = told["rows"] >= 0.98 * told["wanted_rows"] and told["drops"] == 0
    return {
        "sessions": options.sessions if kept else 0, "p50_ms_loaded": told["p50_ms"], "p99_ms_loaded": told["p99_ms"],
        "drops": told["drops"], "cores_loaded": share,
    }  # fmt: skip


def interrupt(options: argparse.Namespace) -> dict[str, float]:
    """The worst of some interruptions."""
    with served() as server:
        told = terminals("interrupt", server, times=options.times)
    return {"interrupt_ms": told["worst_ms"], "interrupt_ms_median": told["median_ms"]}


def text(options: argparse.Namespace) -> dict[str, float]:
    """Texts, in the median and at worst."""
    with served() as server:
        told = terminals("text", server, times=options.times)
    return {"text_ms": told["median_ms"], "text_ms_worst": told["worst_ms"]}


def silence(options: argparse.Namespace) -> dict[str, float]:
    """A quiet room."""
    with served() as server:
        told = terminals("silence", server, seconds=10)
    return {"silence_motion": told["moved"]}


def recover(options: argparse.Namespace) -> dict[str, float]:
    """Kill each worker in turn while somebody speaks; the longest wait for a row then."""
    gaps: list[float] = []
    with served() as server:
        command = [sys.executable, str(TERMINALS), "watch", server.url, "--seconds", "300"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        for number in range(2 * options.kills):
            workers = server.workers
            victim = workers[number % len(workers)]
            # perf_counter is the machine's monotonic clock on Linux: the same in all processes.
            now = time.perf_counter()
            os.kill(victim, signal.SIGKILL)
            process.stdin.write(f"{now}\n")
            process.stdin.flush()
            gaps.append(float(process.stdout.readline()))
            deadline = time.monotonic() + START_S
            while len(server.workers) < len(workers) and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(2)
        process.stdin.write("\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        process.wait(20)
    print(f"recover: {json.dumps(told)}", flush=True)
    return {"recover_ms": max(gaps), "recover_drops": told["drops"]}


def soak(options: argparse.Namespace) -> dict[str, float]:
    """Ten sessions for long: memory, files and processes at the end against those when warm."""
    if options.soak <= 0:
        return {}
    with served() as server:
        # What is started at the first need is no leak.
        terminals("talk", server, seconds=3)
        time.sleep(options.settle)
        idle_files, idle_processes = server.open_files(), set(server.processes)
        command = [sys.executable, str(TERMINALS), "talk", server.url, "--sessions", "10", "--chunk-ms", "20"]
        process = subprocess.Popen([*command, "--seconds", str(60 * options.soak)], stdout=subprocess.PIPE, text=True)
        began, seen = time.monotonic(), []
        while process.poll() is None:
            time.sleep(5)
            # A worker may be replaced while it is looked at.
            with suppress(OSError):
                seen.append((time.monotonic() - began, *server.memory_mb()))
        assert process.stdout is not None
        told = json.loads(process.stdout.read().splitlines()[-1])
        time.sleep(options.settle)
        files, processes = server.open_files(), set(server.processes)
        deadline = time.monotonic() + CLOSE_S
        # A busy machine may be slow to close connections; a leak is what stays.
        while sum(files.values()) > sum(idle_files.values()) and time.monotonic() < deadline:
            time.sleep(1)
            files, processes = server.open_files(), set(server.processes)
    leaked = sum(files.values()) - sum(idle_files.values()) + len(processes) - len(idle_processes)
    talking = [one[1:] for one in seen if WARM_SHARE * 60 * options.soak <= one[0] < 60 * options.soak]
    tenth = max(1, len(talking) // 10)
    first, last = (
        [sum(values) / tenth for values in zip(*part, strict=True)] for part in (talking[:tenth], talking[-tenth:])
    )
    print(
        f"soak: {first[0]:.1f} MB -> {last[0]:.1f} MB of its own, {first[1]:.1f} MB -> {last[1]:.1f} MB with what it "
        f"maps; leaked {leaked} {dict(files - idle_files)}, replaced {len(processes - idle_processes)}; "
        f"{json.dumps(told)}",
        flush=True,
    )
    return {
        "soak_growth": last[0] / first[0] - 1, "soak_minutes": options.soak, "soak_mb": last[1], "soak_own_mb": last[0],
        "soak_leaked": leaked, "soak_drops": told["drops"],
    }  # fmt: skip


MEASURES: dict[str, Callable[[argparse.Namespace], dict[str, float]]] = {
    "talk": talk,
    "load": load,
    "interrupt": interrupt,
    "text": text,
    "silence": silence,
    "recover": recover,
    "soak": soak,
    "ray": ray,
}


def main(words: Sequence[str] | None = None) -> int:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60, help="of speech, for delays")
    parser.add_argument("--times", type=int, default=20, help="interruptions and texts")
    parser.add_argument("--kills", type=int, default=3, help="of each worker")
    parser.add_argument("--soak", type=float, default=10, metavar="MINUTES")
    parser.add_argument("--settle", type=float, default=15, help=argparse.SUPPRESS)
    parser.add_argument("--only", default=",".join(STAGES), help=f"some of {','.join(MEASURES)}")
    parser.add_argument("--no-write", action="store_true", help="do not touch docs/figures/live.json")
    given = list(sys.argv[1:] if words is None else words)
    options = parser.parse_args(given)
    wanted = options.only.split(",")
    if set(wanted) - set(MEASURES):
        parser.error(f"--only: choose some of {', '.join(MEASURES)}")
    busy = os.getloadavg()[0]
    found: dict[str, float] = {}
    for stage in wanted:
        found |= MEASURES[stage](options)
    print(json.dumps({key: round(value, 4) for key, value in found.items()}))
    if not options.no_write:
        notes = (
            f"Server and terminals share the cores; load of other work at the start {busy:.1f}. Method mouth, blocks "
            "of 10 ms (loaded: 20 ms). interrupt_ms and recover_ms are the worst seen."
        )
        figures.write("live", shlex.join(["python", "benchmarks/bench_live.py", *given]), found, notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
