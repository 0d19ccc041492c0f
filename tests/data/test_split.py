import hashlib

import hypothesis
from hypothesis import strategies

from tlkit.data.split import position, split_by_hash

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
def test_added_images_move_none_but_those_that_stood_in_for_others(first, more):
    both = first + [item for item in more if item not in first]
    alone, now = split(first), split(both)[: len(first)]
    places = [position(h, label) for h, (_, label) in zip(hashes_of(first), first, strict=True)]
    for (_, label), place, before, after in zip(first, places, alone, now, strict=True):
        own = [p for p, (_, other) in zip(places, first, strict=True) if other == label]
        assert after == before or place in (min(own), max(own))


@hypothesis.given(items, strategies.floats(0.01, 0.9), strategies.floats(0, 0.09))
@hypothesis.settings(max_examples=300, deadline=None)
def test_each_class_of_two_or_more_has_val_and_train(things, val, test):
    result = split(things, val, test)
    for label in {label for _, label in things}:
        own = [s for s, (_, other) in zip(result, things, strict=True) if other == label]
        assert "train" in own
        assert ("val" in own) == (len(own) > 1)


@hypothesis.given(items)
@hypothesis.settings(max_examples=200, deadline=None)
def test_only_the_lowest_and_the_highest_of_a_class_leave_the_threshold(things):
    result = split(things)
    for label in {label for _, label in things}:
        own = sorted(
            (position(h, label), s)
            for h, s, (_, other) in zip(hashes_of(things), result, things, strict=True)
            if other == label
        )
        for place, found in own[1:-1]:
            assert found == ("val" if place < 0.2 else "test" if place < 0.1 + 0.2 else "train")
        assert own[-1][1] == "train"
        assert len(own) == 1 or own[0][1] == "val"


def test_small_classes_need_no_luck():
    # 1,000 classes of 2 images, of which a threshold of 0.2 alone splits one in three as wanted
    things = [(n, str(n // 2)) for n in range(2000)]
    result = split(things, 0.2, 0.0)
    assert all(sorted(result[k : k + 2]) == ["train", "val"] for k in range(0, 2000, 2))


def test_nothing_validates_where_no_share_is_asked_for():
    assert set(split([(n, "a") for n in range(50)], 0.0, 0.2)) == {"train", "test"}


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
    for n in range(20):
        digest = hashlib.sha256(bytes([100 + n])).hexdigest()
        others = [hashlib.sha256(bytes([n])).hexdigest() for n in range(n % 3)]
        result = split_by_hash([digest, digest, *others], ["a"] * (2 + n % 3), 0.2, 0.0)
        assert result[0] == result[1]
