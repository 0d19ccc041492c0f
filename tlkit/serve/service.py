"""The service behind all routes: images in, probabilities out, within limits."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from tlkit.out_of_memory import is_out_of_memory
from tlkit.serve.batcher import Batcher
from tlkit.serve.deployed import DeployedModel
from tlkit.serve.limits import Limits, Refusal
from tlkit.serve.metrics import Metrics
from tlkit.serve.picture import read_picture
from tlkit.serve.statistics import Statistics, Timing


class Service:
    """A loaded model behind a bounded queue.

    Args:
        deployed: The model.
        limits: Limits beyond which requests are refused.
        metrics: Metrics to update.
    """

    def __init__(self, deployed: DeployedModel, limits: Limits, metrics: Metrics):
        self.deployed, self.limits, self.metrics = deployed, limits, metrics
        self.readers = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1, "decode")
        self.pending = 0  # images accepted and not yet answered
        self.statistics = Statistics()
        self.batcher = Batcher(deployed.run, limits, self._computed)
        self.ready = False

    @asynccontextmanager
    async def lifespan(self, _: Any) -> AsyncIterator[None]:
        """Computes batches while the server runs."""
        work = asyncio.create_task(self.batcher.work())
        self.ready = True
        yield
        self.ready = False
        work.cancel()

    async def answer(self, items: Sequence[bytes | np.ndarray]) -> np.ndarray:
        """Probabilities `(n, classes)` for files or pixels.

        Raises:
            Refusal: 400 or 413 for an image, 413 for too many, 503 if the queue or memory is full,
                504 if the answer takes too long.
        """
        start = time.perf_counter()
        timings = [Timing(start) for _ in items]
        try:
            async with self._accepted(len(items)):
                rows = await asyncio.gather(*map(self._one, items, timings), return_exceptions=True)
                for row in rows:
                    if isinstance(row, BaseException):
                        raise row
        except BaseException:
            self.statistics.failed(time.perf_counter() - start)
            raise
        answer = np.stack([row for row in rows if not isinstance(row, BaseException)])
        self.statistics.answered(timings)
        return answer

    def _computed(self, images: int, stacked: float, computed: float, handed_out: float) -> None:
        self.metrics.batch(images)
        self.statistics.batch(images, stacked, computed, handed_out)

    async def special(
        self, ask: Callable[[list[bytes]], np.ndarray], files: list[bytes]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """The result of an unbatched signature for files, and the pixels of these files."""
        async with self._accepted(len(files)):
            images = await asyncio.gather(*map(self._pixels, files))
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.batcher.thread, ask, files), images

    async def _pixels(self, item: bytes | np.ndarray) -> np.ndarray:
        """Pixels at the network's input size, from a file or from other pixels."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.readers, self._read, item)

    def _read(self, item: bytes | np.ndarray) -> np.ndarray:
        if isinstance(item, bytes):
            return read_picture(item, self.deployed.prepare, self.limits.pixels)
        if item.shape[:2] == self.deployed.size:
            return item
        return np.asarray(self.deployed.fit(item))

    async def _one(self, item: bytes | np.ndarray, timing: Timing) -> np.ndarray:
        self.batcher.coming += 1
        try:
            image = await self._pixels(item)
        finally:
            self.batcher.coming -= 1
        return await self.batcher.submit(image, timing)

    @asynccontextmanager
    async def _accepted(self, count: int) -> AsyncIterator[None]:
        """Reserves places in the queue, for a limited time."""
        if not count:
            raise Refusal(400, "no picture in the request")
        if count > self.limits.queue:
            raise Refusal(413, f"{count} pictures in one request, at most {self.limits.queue}")
        if self.pending + count > self.limits.queue:
            raise Refusal(503, "the queue is full", {"Retry-After": "1"})
        self._count(count)
        try:
            async with asyncio.timeout(self.limits.seconds):
                yield
        except TimeoutError:
            raise Refusal(504, f"no answer within {self.limits.seconds:g} s") from None
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            advice = "send fewer pictures at once, or start the server with a smaller --max-batch"
            raise Refusal(503, f"out of memory: {advice}", {"Retry-After": "1"}) from error
        finally:
            self._count(-count)

    def _count(self, change: int) -> None:
        self.pending += change
        self.metrics.pending(self.pending)
