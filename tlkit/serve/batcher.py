"""Dynamic batching: images of several requests are computed together."""

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
    """An image that waits for a batch, who waits for it, and when it came."""

    image: np.ndarray
    future: asyncio.Future[np.ndarray]
    timing: Timing


class Batcher:
    """Collects images while the one before is computed, and computes them in one call.

    An image waits for others only where some are known to be on their way, and never longer than
    the limit: a client that is alone waits for nobody.

    Args:
        run: From images `(batch, height, width, 3)` to probabilities `(batch, classes)`.
        limits: How many together, and how long they wait.
        seen: Is told the size of each batch, and the seconds that it took to put it together, to
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
        self.coming = 0  # images that are being read and will be submitted

    async def submit(self, image: np.ndarray, timing: Timing | None = None) -> np.ndarray:
        """The probabilities of one image; `timing` is told when what happened to it."""
        future: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        item = Waiting(image, future, timing or Timing())
        item.timing.submitted = time.perf_counter()
        self.waiting.put_nowait(item)
        return await future

    async def work(self) -> None:
        """Computes batches until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            found = [
                item for item in await self._collect() if not item.future.done()
            ]  # others gave up waiting
            if not found:
                continue
            start = time.perf_counter()
            images = np.stack([item.image for item in found])
            stacked = time.perf_counter()
            try:
                rows = await loop.run_in_executor(self.thread, self.run, images)
            # whatever a runtime raises belongs to those who asked
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
        """The next images to be computed together."""
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
