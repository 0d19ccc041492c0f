"""Dynamic batching: images of several requests are computed together."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

import numpy as np

from tlkit.serve.limits import Limits


class Batcher:
    """Collects images while the one before is computed, and computes them in one call.

    An image waits for others only where some are known to be on their way, and never longer than
    the limit: a client that is alone waits for nobody.

    Args:
        run: From images `(batch, height, width, 3)` to probabilities `(batch, classes)`.
        limits: How many together, and how long they wait.
        seen: Is told the size of each batch.
    """

    def __init__(
        self, run: Callable[[np.ndarray], np.ndarray], limits: Limits, seen: Callable[[int], Any]
    ):
        self.run, self.limits, self.seen = run, limits, seen
        self.thread = concurrent.futures.ThreadPoolExecutor(1, "model")
        self.waiting: asyncio.Queue[tuple[np.ndarray, asyncio.Future[np.ndarray]]] = asyncio.Queue()
        self.coming = 0  # images that are being read and will be submitted

    async def submit(self, image: np.ndarray) -> np.ndarray:
        """The probabilities of one image."""
        future: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        self.waiting.put_nowait((image, future))
        return await future

    async def work(self) -> None:
        """Computes batches until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            found = [
                item for item in await self._collect() if not item[1].done()
            ]  # others gave up waiting
            if not found:
                continue
            images = np.stack([image for image, _ in found])
            self.seen(len(found))
            try:
                rows = await loop.run_in_executor(self.thread, self.run, images)
            # whatever a runtime raises belongs to those who asked
            except Exception as error:
                for _, future in found:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), row in zip(found, rows, strict=True):
                if not future.done():
                    future.set_result(row)

    async def _collect(self) -> list[tuple[np.ndarray, asyncio.Future[np.ndarray]]]:
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
