"""The server under load: images a second, waiting times, memory, and what batching gains.

    tlkit finetune ...        # a run with an export
    python benchmarks/serve.py RUN --photos FOLDER

Client and server share the machine and talk over loopback; each client sends one photo after another
as the body of `POST /predict` over a connection that stays open. Prints a Markdown table for 1, 8 and 64
clients, then for 64 clients with `--max-batch 1` in turns with the default, then the memory over many
requests, and the seconds from a kill to the first answer of a new server.
"""

from __future__ import annotations

import http.client
import itertools
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

import click


class Server:
    """`tlkit serve` in a process of its own."""

    def __init__(self, target: pathlib.Path, *options: str):
        self.start = time.perf_counter()
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tlkit.cli.main", "serve", str(target), "--port", "0", *options],
            stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout
        for line in self.process.stdout:
            if "openapi.json" in line:
                self.port = int(line.split("127.0.0.1:")[1].split("/")[0])
                break
        else:
            sys.exit("the server did not start")

    def megabytes(self) -> float:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1000


def load(
    server: Server, photos: list[bytes], clients: int, seconds: float, most: int = 10**9
) -> tuple[list[float], int, float]:
    """Waiting times in seconds, the number of errors, and how long it took."""
    waited: list[float] = []
    errors = itertools.count()
    given = itertools.count()
    end = time.perf_counter() + seconds

    def client(photo: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        while time.perf_counter() < end and next(given) < most:
            photo += 1
            start = time.perf_counter()
            connection.request("POST", "/predict?top=1", photos[photo % len(photos)])
            answer = connection.getresponse()
            answer.read()
            waited.append(time.perf_counter() - start)
            if answer.status != 200:
                next(errors)

    threads = [threading.Thread(target=client, args=(7 * k,)) for k in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waited, next(errors), time.perf_counter() - start


def row(name: str, waited: list[float], errors: int, seconds: float) -> float:
    cuts = statistics.quantiles(waited, n=100)
    speed = len(waited) / seconds
    print(
        f"| {name} | {speed:.0f} | {1e3 * cuts[49]:.0f} | {1e3 * cuts[98]:.0f} | {errors} |",
        flush=True,
    )
    return speed


@click.command()
@click.argument("target", type=click.Path(path_type=pathlib.Path, exists=True))
@click.option("--photos", "folder", required=True, type=click.Path(path_type=pathlib.Path))
@click.option("--seconds", default=30.0, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Of batching against none.")
@click.option(
    "--requests", default=20_000, show_default=True, help="Over which memory is looked at."
)
def main(
    target: pathlib.Path, folder: pathlib.Path, seconds: float, rounds: int, requests: int
) -> None:
    photos = [file.read_bytes() for file in sorted(folder.rglob("*.jpg"))[:200]]
    print("| clients | images/s | p50, ms | p99, ms | errors |\n|---|---|---|---|---|")
    server, single = Server(target), Server(target, "--max-batch", "1")
    for warm in (server, single):
        load(warm, photos, 64, 5)
    for clients in (1, 8, 64):
        row(str(clients), *load(server, photos, clients, seconds))
    ratios = []
    for _ in range(rounds):
        alone = row("64, --max-batch 1", *load(single, photos, 64, seconds / rounds))
        together = row("64", *load(server, photos, 64, seconds / rounds))
        ratios.append(together / alone)
    print(
        f"\nbatching: {statistics.median(ratios):.2f} times ({', '.join(f'{r:.2f}' for r in ratios)})"
    )
    single.process.kill()
    sizes = []
    for _ in range(10):
        load(server, photos, 16, 1e9, requests // 10)
        sizes.append(f"{server.megabytes():.0f}")
    print(f"memory after each tenth of {requests} requests, MB: {' '.join(sizes)}")
    server.process.kill()
    again = Server(target)
    load(again, photos, 1, 1e9, 1)
    print(f"from a kill to an answer: {time.perf_counter() - again.start:.1f} s")
    again.process.kill()


if __name__ == "__main__":
    main()
