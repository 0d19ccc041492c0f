"""Images of several requests are computed together, and none gets another's answer."""

import asyncio

import numpy as np
import pytest

from tlkit.serve.batcher import Batcher
from tlkit.serve.limits import Limits


def images(count):
    return [np.full((2, 2, 3), k, "uint8") for k in range(count)]


def batched(limits, ask, run=None):
    """Runs `ask(batcher)` beside a batcher; returns its answer and the sizes of the batches."""
    sizes = []

    def first_pixel(batch):
        return batch[:, 0, 0, :1].astype("float32")

    async def both():
        batcher = Batcher(run or first_pixel, limits, lambda size, *_: sizes.append(size))
        work = asyncio.create_task(batcher.work())
        try:
            return await ask(batcher)
        finally:
            work.cancel()

    return asyncio.run(both()), sizes


def test_each_gets_its_own_answer():
    async def ask(batcher):
        return await asyncio.gather(*map(batcher.submit, images(70)))

    rows, sizes = batched(Limits(batch=32), ask)
    assert [row[0] for row in rows] == list(range(70))
    assert sizes == [32, 32, 6]


def test_one_at_a_time_if_wanted():
    async def ask(batcher):
        return await asyncio.gather(*map(batcher.submit, images(3)))

    assert batched(Limits(batch=1), ask)[1] == [1, 1, 1]


@pytest.mark.parametrize(("coming", "sizes"), [(1, [2]), (0, [1, 1])])
def test_it_waits_only_for_what_is_on_its_way(coming, sizes):
    async def ask(batcher):
        batcher.coming = coming
        first = asyncio.create_task(batcher.submit(images(1)[0]))
        for _ in range(3):  # the batcher has seen it
            await asyncio.sleep(0)
        if not coming:
            await first
        second = asyncio.create_task(batcher.submit(images(1)[0]))
        await asyncio.sleep(0)
        batcher.coming = 0
        return await asyncio.gather(first, second)

    assert batched(Limits(delay=30), ask)[1] == sizes


def test_what_fails_fails_for_those_alone():
    def run(batch):
        if batch.max() == 0:
            raise RuntimeError("zero")
        return batch[:, 0, 0, :1]

    async def ask(batcher):
        zero, one = images(2)
        with pytest.raises(RuntimeError, match="zero"):
            await batcher.submit(zero)
        return await batcher.submit(one)

    row, _ = batched(Limits(), ask, run)
    assert row[0] == 1


def test_who_gave_up_is_not_computed():
    async def ask(batcher):
        gone = asyncio.create_task(batcher.submit(images(1)[0]))
        await asyncio.sleep(0)
        gone.cancel()
        return await batcher.submit(images(2)[1])

    row, sizes = batched(Limits(), ask)
    assert (row[0], sizes) == (1, [1])
