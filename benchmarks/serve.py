"""The service as a process of its own on this machine's loopback: rows a second, and times of small requests."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pyarrow as pa

import gpuvgm
from benchmarks.machine import ROOT, memory_figure
from benchmarks.measure import Measurement, mebibytes

ARROW = "application/vnd.apache.arrow.stream"
LARGE_ROWS = 1 << 20  # of a request that goes for throughput
SMALL_ROWS = 1000
RATE = 50.0  # small requests a second
CLIENTS = 2  # that send large requests, one after the other
AIMED_SPEED, AIMED_SECONDS = 5e6, 0.02


@dataclass
class Service:
    """A server process, and requests to it; every answer is counted and none may be an error."""

    port: int
    process: subprocess.Popen[str]
    own: threading.local = field(default_factory=threading.local)
    opened: list[HTTPConnection] = field(default_factory=list)

    def post(self, what: str, body: bytes, kind: str = ARROW) -> bytes:
        """The answer to a request; each thread has a connection of its own."""
        if not hasattr(self.own, "connection"):
            self.own.connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
            self.opened.append(self.own.connection)
        self.own.connection.request("POST", f"/v1/models/model/{what}", body, {"Content-Type": kind})
        answer = self.own.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {content[:200]!r}")
        return content

    @property
    def memory(self) -> int:
        """Bytes that the process holds."""
        return memory_figure("VmRSS", self.process.pid) or 0


def measure(rows: int) -> list[Measurement]:
    """Large requests of `rows` rows in all, then small ones at a steady rate for 20 s; less of them for few rows."""
    with running() as service:
        values = np.random.default_rng(0).lognormal(3, 1, min(rows, LARGE_ROWS))
        plain = stream_of(pa.table({"x": values}))
        encoded = service.post("transform", plain)
        small = pa.table({"x": values[:SMALL_ROWS]})
        document = json.dumps({"columns": {"x": small["x"].to_pylist()}}).encode()
        requests = max(20, min(1000, rows // 20_000))
        return [
            bulk(service, "transform", plain, rows),
            bulk(service, "inverse", encoded, rows),
            steady(service, "Arrow", lambda: service.post("transform", stream_of(small)), requests),
            steady(service, "JSON", lambda: service.post("transform", document, "application/json"), requests),
        ]


@contextmanager
def running() -> Iterator[Service]:
    """A service of one model of one column, fitted here."""
    with tempfile.TemporaryDirectory(prefix="gpuvgm-benchmark-") as name:
        model = Path(name) / "model.gpuvgm"
        rows = np.random.default_rng(1).lognormal(3, 1, 100_000)
        gpuvgm.TableTransformer(effort="research").fit({"x": rows}).save(model)
        command = [sys.executable, "-m", "gpuvgm", "serve", "--model", str(model), "--port", "0"]
        with subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process:
            service = None
            try:
                assert process.stderr is not None
                service = Service(int(process.stderr.readline().rpartition(":")[2]), process)
                yield service
            finally:
                for connection in [] if service is None else service.opened:
                    connection.close()
                process.terminate()


def stream_of(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def bulk(service: Service, what: str, body: bytes, rows: int) -> Measurement:
    """Large requests from some clients, each of which waits for its answers."""
    requests = max(CLIENTS, rows // LARGE_ROWS)
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda _: service.post(what, body), range(CLIENTS)))
        before, start = service.memory, time.perf_counter()
        list(pool.map(lambda _: service.post(what, body), range(requests)))
        seconds = time.perf_counter() - start
    done = requests * min(rows, LARGE_ROWS)
    aim = {f"{AIMED_SPEED / 1e6:.0f} Mrows/s": done / AIMED_SPEED}
    return Measurement(
        f"{what}, Arrow, {requests} requests",
        done,
        seconds,
        aim,
        dict.fromkeys(aim, 1.0) if rows >= LARGE_ROWS else {},
        details={"clients": CLIENTS, "memory": [before, service.memory]},
        notes={"server's memory": f"{mebibytes(before)}, then {mebibytes(service.memory)}"},
    )


def steady(service: Service, kind: str, post: Callable[[], bytes], requests: int) -> Measurement:
    """Small requests at a steady rate; a request's time begins when it was due, however late it was sent."""
    post()
    before, start = service.memory, time.perf_counter() + 0.1

    def timed(number: int) -> float:
        due = start + number / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        post()
        return time.perf_counter() - due

    with ThreadPoolExecutor(8) as pool:
        times = np.array(list(pool.map(timed, range(requests))))
    middle, late = np.quantile(times, [0.5, 0.99])
    aim = {f"p99 of {1000 * AIMED_SECONDS:.0f} ms": AIMED_SECONDS}
    return Measurement(
        f"p99 of {SMALL_ROWS:,} rows, {kind}, {RATE:.0f}/s",
        SMALL_ROWS,
        float(late),
        aim,
        dict.fromkeys(aim, 1.0) if requests >= 1000 else {},
        details={
            "requests": requests,
            "p50": float(middle),
            "worst": float(times.max()),
            "memory": [before, service.memory],
        },
        notes={
            "p50": f"{1000 * middle:.2f} ms",
            "server's memory": f"{mebibytes(before)}, then {mebibytes(service.memory)}",
        },
    )
