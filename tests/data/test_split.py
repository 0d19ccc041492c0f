import hashlib

import hypothesis
from hypothesis import strategies

from tlkit.data.split import split_by_hash

items = strategies.lists(
    strategies.tuples(strategies.integers(0, 10**6), strategies.sampled_from("abc")),
    min_size=1,
    max_size=80,
    unique=True,
)


def hashes_of(things) -> list[str]:
    return [hashlib.sha256(str(n).encode()).hexdigest() for n, _ in things]


def split(things, val=0.2, test=0.1):
    return split_by_hash(hashes_of(things), [label for _, label in things], val, test)


@hypothesis.given(items, items)
@hypothesis.settings(max_examples=200, deadline=None)
def test_added_images_never_move_another(first, more):
    both = first + [item for item in more if item not in first]
    assert split(both)[: len(first)] == split(first)


@hypothesis.given(items)
@hypothesis.settings(max_examples=100, deadline=None)
def test_the_order_of_the_images_does_not_matter(things):
    forward = dict(zip(things, split(things), strict=True))
    backward = dict(zip(things[::-1], split(things[::-1]), strict=True))
    assert forward == backward


def test_each_class_is_held_out_at_about_the_same_share():
    things = [(n, "abc"[n % 3]) for n in range(6000)]
    result = split(things)
    for label in "abc":
        own = [s for s, (_, other) in zip(result, things, strict=True) if other == label]
        # three standard deviations of a binomial of 2000
        assert abs(own.count("val") / 2000 - 0.2) < 0.027
        assert abs(own.count("test") / 2000 - 0.1) < 0.02


def test_copies_of_one_image_stay_together():
    digest = hashlib.sha256(b"x").hexdigest()
    others = [hashlib.sha256(bytes([n])).hexdigest() for n in range(3)]
    result = split_by_hash([digest, digest, *others], ["a"] * 5, 0.2, 0.0)
    assert result[0] == result[1]
