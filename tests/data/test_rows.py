"""Rows on disk against the arrays they were cut from."""

import numpy as np

from tlkit.data.rows import Rows


def test_rows_are_those_of_the_whole_array_in_any_order(tmp_path):
    whole = np.random.default_rng(0).normal(size=(10, 3, 2)).astype("float16")
    parts = []
    for k, (first, last) in enumerate([(0, 4), (4, 5), (5, 10)]):
        np.save(tmp_path / f"{k}.npy", whole[first:last])
        parts.append(np.load(tmp_path / f"{k}.npy", mmap_mode="r"))
    rows = Rows(parts, np.repeat([0, 1, 2], [4, 1, 5]), np.array([0, 1, 2, 3, 0, 0, 1, 2, 3, 4]))
    assert (len(rows), rows.shape, rows.ndim) == (10, (10, 3, 2), 3)
    chosen = np.array([9, 0, 4, 4, 2])
    np.testing.assert_array_equal(rows[chosen], whole[chosen].astype("float32"))
    assert rows[chosen].dtype == np.float32
    np.testing.assert_array_equal(np.asarray(rows), whole.astype("float32"))
    part = rows.take([5, 1])
    np.testing.assert_array_equal(part[np.array([1])], whole[[1]].astype("float32"))
    pixels = Rows.of(np.arange(6, dtype=np.uint8).reshape(3, 2)).take([2, 0])
    assert pixels[np.array([0])].dtype == np.uint8
    np.testing.assert_array_equal(pixels, [[4, 5], [0, 1]])
