"""Dynamic batching: images of several requests are computed in one batch."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.serve.limits import Limits
from tlkit.serve.statistics import Timing


@dataclasses.dataclass(frozen=True)
class Waiting:
    """An image waiting for a batch, with the future of its answer and its timing."""

    image: np.ndarray
    future: asyncio.Future[np.ndarray]
    timing: Timing


class Batcher:
    """Collects images while the previous batch is computed, then computes them in one call.

    An image waits for others only if some are known to be on their way, and never longer than
    the limit: a single client never waits for others.

    Args:
        run: Maps images `(batch, height, width, 3)` to probabilities `(batch, classes)`.
        limits: Maximum batch size and waiting time.
        seen: Called after each batch with its size, and the seconds taken to stack it, to
            compute it, and to hand out the answers.
    """

    def __init__(
        self,
        run: Callable[[np.ndarray], np.ndarray],
        limits: Limits,
        seen: Callable[[int, float, float, float], Any],
    ):
        self.run, self.limits, self.seen = run, limits, seen
        self.thread = concurrent.futures.ThreadPoolExecutor(1, "model")
        self.waiting: asyncio.Queue[Waiting] = asyncio.Queue()
        self.coming = 0  # images that are being decoded and will be submitted

    async def submit(self, image: np.ndarray, timing: Timing | None = None) -> np.ndarray:
        """The probabilities of one image; records in `timing` when each step happened."""
        future: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        item = Waiting(image, future, timing or Timing())
        item.timing.submitted = time.perf_counter()
        self.waiting.put_nowait(item)
        return await future

    async def work(self) -> None:
        """Computes batches until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            found = [
                item for item in await self._collect() if not item.future.done()
            ]  # for the others, the client gave up waiting
            if not found:
                continue
            start = time.perf_counter()
            images = np.stack([item.image for item in found])
            stacked = time.perf_counter()
            try:
                rows = await loop.run_in_executor(self.thread, self.run, images)
            # any runtime error is passed to the requests of the batch
            except Exception as error:
                for item in found:
                    if not item.future.done():
                        item.future.set_exception(error)
                continue
            computed = time.perf_counter()
            for item, row in zip(found, rows, strict=True):
                item.timing.started, item.timing.computed = start, computed
                if not item.future.done():
                    item.future.set_result(row)
            end = time.perf_counter()
            self.seen(len(found), stacked - start, computed - stacked, end - computed)

    async def _collect(self) -> list[Waiting]:
        """Waits for the next images and returns them as one batch."""
        found = [await self.waiting.get()]
        end = asyncio.get_running_loop().time() + self.limits.delay
        while len(found) < self.limits.batch:
            if not self.waiting.empty():
                found.append(self.waiting.get_nowait())
                continue
            left = end - asyncio.get_running_loop().time()
            if self.coming <= 0 or left <= 0:
                break
            try:
                found.append(await asyncio.wait_for(self.waiting.get(), left))
            except TimeoutError:
                break
        return found
