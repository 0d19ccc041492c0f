"""Batches and updates against a loop that counts them one by one."""

import pytest

from tlkit.step_count import StepCount, accumulation_of, whole_steps


def counted(images, batch_size, epochs, accumulation):
    """(epoch of each update, updates after each batch) by a loop."""
    batches, epoch_of, after = 0, [], []
    for epoch in range(epochs):
        for _ in range(0, images, batch_size):
            batches += 1
            if batches % accumulation == 0:
                epoch_of.append(epoch)
            after.append(len(epoch_of))
    return epoch_of, after


@pytest.mark.parametrize(
    ("images", "batch_size", "epochs", "accumulation"),
    [(56, 8, 6, 4), (50, 8, 6, 1), (16, 8, 3, 8), (1, 32, 1, 1), (100, 7, 3, 5), (9, 8, 5, 2)],
)
def test_it_counts_as_a_loop_does(images, batch_size, epochs, accumulation):
    count = StepCount(images, batch_size, epochs, accumulation)
    epoch_of, after = counted(images, batch_size, epochs, accumulation)
    assert count.batches == len(after)
    assert count.updates == len(epoch_of)
    assert [count.epoch_of(k) for k in range(count.updates)] == epoch_of
    assert [count.updates_after(k + 1) for k in range(count.batches)] == after
    made = [count.ends_update(k + 1) for k in range(count.batches)]
    assert made == [b > a for a, b in zip([0, *after], after, strict=False)]
    assert count.updates_per_epoch * accumulation == pytest.approx(count.batches_per_epoch)
    assert count.batches_before(1, 2) == count.batches_per_epoch + 2


def test_one_update_at_most_is_near_the_end_of_an_epoch():
    count = StepCount(56, 8, 6, 4)
    for epoch in range(6):
        near = [count.batches_before(epoch, b) + 1 for b in range(7) if count.is_near_end(b)]
        assert len(near) == 4 and sum(map(count.ends_update, near)) == 1


def test_impossible_counts_are_refused():
    for wrong in ((0, 1, 1), (1, 0, 1), (1, 1, -1), (1, 1, 1, 0)):
        with pytest.raises(ValueError, match="must be 1 or more"):
            StepCount(*wrong)


def test_whole_steps_of_products_that_are_not_exact():
    assert whole_steps(0.1, 30) == whole_steps(0.3, 10) == 3  # 0.3 * 10 is 3.0000000000000004
    assert whole_steps(0.7, 10) == 7  # 7 - 1e-15
    assert whole_steps(6, 7 / 4) == 10


def test_accumulation_is_found_behind_loss_scaling():
    import keras

    inner = keras.optimizers.SGD(0.1, gradient_accumulation_steps=4)
    assert accumulation_of(inner) == 4
    assert accumulation_of(keras.optimizers.LossScaleOptimizer(inner)) == 4
    assert accumulation_of(keras.optimizers.SGD(0.1)) == 1
