import keras
import numpy as np
import pytest

from tlkit.backbones.load import load_backbone
from tlkit.errors import UserError
from tlkit.freeze import (
    Block,
    FreezePlan,
    apply_plan,
    backbone_blocks,
    blocks_that_learn,
    describe,
    is_batch_norm,
    last_blocks,
    make_plan,
)
from tlkit.model import build_network
from tlkit.recipe.schema import Model
from tlkit.registry import POLICIES
from tlkit.tasks.classification import Classification


@pytest.fixture(scope="module")
def network():
    config = Model.model_validate(
        {"backbone": "mobilenet_v2", "weights": "none", "arguments": {"alpha": 0.35}}
    )
    return build_network(config, Classification(["a", "b", "c"]), (32, 32))


def plan(network, policy, *, arguments=None, **options):
    return make_plan(policy, arguments or {}, network.blocks, network.head, **options)


def norms(network):
    return [layer for block in network.blocks for layer in block.layers if is_batch_norm(layer)]


def test_there_is_a_plan_for_every_policy(network):
    arguments = {"last-blocks": {"count": 2}, "from-layer": {"layer": "block_16_expand"}}
    for name in POLICIES:
        text = describe(plan(network, name, arguments=arguments.get(name)))
        assert text.startswith(f"policy {name}")


def test_head_only_trains_the_head_and_freezes_all_52_norms(network):
    p = plan(network, "head-only")
    assert p.trainable == ["head_logits/kernel", "head_logits/bias"]
    assert p.batch_norm == {"train": 0, "affine": 0, "frozen": 52}
    assert p.boundary is None


def test_predict_only_trains_nothing(network):
    assert plan(network, "predict-only").trainable == []


def test_full_trains_everything_but_statistics(network):
    p = plan(network, "full")
    expected = {
        v.path
        for v in network.model.weights
        if not v.path.endswith(("moving_mean", "moving_variance"))
    }
    assert set(p.trainable) == expected
    assert p.batch_norm["train"] == 52


def test_last_blocks_takes_the_end_of_the_network(network):
    p = plan(network, "last-blocks", arguments={"count": 2})
    owners = {path.split("/")[0] for path in p.trainable}
    assert "Conv_1" in owners and "block_16_expand" in owners and "block_15_expand" not in owners
    assert p.boundary == "block_16_expand"


def test_from_layer_begins_there_or_at_a_block(network):
    by_layer = plan(network, "from-layer", arguments={"layer": "block_16_expand"})
    by_block = plan(network, "from-layer", arguments={"layer": "block_16"})
    assert by_layer.trainable == by_block.trainable


def test_norms_only_keeps_statistics_and_trains_scales(network):
    p = plan(network, "norms-only")
    ends = {path.split("/")[-1] for path in p.trainable if not path.startswith("head")}
    assert ends == {"gamma", "beta"}
    assert p.batch_norm == {"train": 0, "affine": 52, "frozen": 0}
    assert plan(network, "norms-only", batch_norm="train").batch_norm["train"] == 52


def test_biases_only_trains_offsets(network):
    ends = {path.split("/")[-1] for path in plan(network, "biases-only").trainable}
    assert ends == {"kernel", "bias", "beta"}  # the kernel is the head's


def test_frozen_norms_of_full_training_are_frozen_whole(network):
    p = plan(network, "full", batch_norm="frozen")
    assert not any(path.endswith(("gamma", "beta")) for path in p.trainable)
    assert p.batch_norm == {"train": 0, "affine": 0, "frozen": 52}


def test_auto_freezes_norms_where_batches_are_tiny(network):
    assert plan(network, "full", batch_size=15).batch_norm["frozen"] == 52
    assert plan(network, "full", batch_size=16).batch_norm["train"] == 52


def test_rates_multiply(network):
    p = plan(
        network, "full", head_multiplier=10, layer_decay=0.5, rate_multipliers={"/gamma$": 0.1}
    )
    last, before = network.blocks[-1].name, network.blocks[-2].name
    assert p.multipliers["head_logits/kernel"] == 10
    assert (last, before) == ("Conv_1", "block_16")
    assert p.multipliers["Conv_1/kernel"] == 0.5
    assert p.multipliers["block_16_expand/kernel"] == 0.5**2
    assert p.multipliers["block_16_expand_BN/gamma"] == pytest.approx(0.5**2 * 0.1)


@pytest.mark.parametrize(
    ("policy", "options", "message"),
    [
        ("last-blocks", {"arguments": {"count": 99}}, "more than the 19 blocks"),
        (
            "from-layer",
            {"arguments": {"layer": "block_16_expnd"}},
            "Did you mean 'block_16_expand'",
        ),
        ("full", {"rate_multipliers": {"nothing_like_it": 2}}, "matches no variable"),
    ],
)
def test_what_does_not_fit_is_explained(network, policy, options, message):
    with pytest.raises(UserError, match=message):
        plan(network, policy, **options)


@pytest.mark.parametrize("policy", ["head-only", "norms-only", "full"])
def test_plain_fit_obeys_the_plan(network, policy):
    """Keras passes training=True inside fit; frozen layers must not see it."""
    p = plan(network, policy)
    before = {v.path: np.asarray(v) for v in network.model.weights}
    restore = apply_plan(p, network.model, network.blocks)
    try:
        model = keras.Model(network.model.input, network.model.output)
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        rng = np.random.default_rng(0)
        model.fit(
            rng.uniform(0, 255, (32, 32, 32, 3)), rng.integers(0, 3, 32), batch_size=16, verbose=0
        )
        moved = {v.path for v in network.model.weights if not np.array_equal(before[v.path], v)}
    finally:
        restore()
        for v in network.model.weights:
            v.assign(before[v.path])
    statistics = {path for path in moved if path.endswith(("moving_mean", "moving_variance"))}
    assert moved - statistics <= set(p.trainable)
    assert len(statistics) == (104 if policy == "full" else 0)
    assert moved - statistics


def test_momentum_is_lowered_while_training_and_restored(network):
    restore = apply_plan(plan(network, "full"), network.model, network.blocks)
    assert {layer.momentum for layer in norms(network)} == {0.9}
    restore()
    assert {layer.momentum for layer in norms(network)} == {0.999}
    assert all("call" not in vars(layer) for layer in norms(network))


def test_dropout_inside_frozen_blocks_does_not_drop():
    config = Model.model_validate({"backbone": "efficientnet_b0", "weights": "none"})
    network = build_network(config, Classification(["a", "b"]), (32, 32))
    image = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    features = keras.Model(network.model.input, network.model.get_layer("head_pooling").output)
    assert not np.allclose(features(image, training=True), features(image, training=True))
    restore = apply_plan(plan(network, "head-only"), network.model, network.blocks)
    np.testing.assert_array_equal(features(image, training=True), features(image, training=False))
    restore()


def test_the_last_block_of_mobilenet_v2_is_one_that_trains(network):
    p = plan(network, "last-blocks", arguments={"count": 1})
    owners = {path.split("/")[0] for path in p.trainable}
    assert owners == {"Conv_1", "Conv_1_bn", "head_logits"}
    assert all(total for _, total, _ in p.blocks)
    assert "out_relu" not in p.frozen_layers  # it belongs to what trains around it


def test_a_policy_that_would_train_nothing_of_the_backbone_is_refused(network):
    with pytest.raises(UserError, match="from-layer: out_relu trains nothing of the backbone"):
        plan(network, "from-layer", arguments={"layer": "out_relu"})
    vgg = build_network(
        Model.model_validate({"backbone": "vgg16", "weights": "none"}),
        Classification(["a", "b"]),
        (32, 32),
    )
    with pytest.raises(UserError, match=r"norms-only trains nothing .* it has no normalisation"):
        plan(vgg, "norms-only")
    with pytest.raises(UserError, match=r"head-only trains nothing: the head has no weights"):
        make_plan("head-only", {}, network.blocks, [])


def test_blocks_without_weights_belong_to_the_block_before_or_the_first():
    pixels, first, relu, last, end = (
        keras.layers.Rescaling(2.0), keras.layers.Dense(2), keras.layers.ReLU(),
        keras.layers.Dense(2), keras.layers.Normalization(),
    )  # fmt: skip
    for layer in (first, last, end):
        layer.build((None, 3))
    names = "abcde"
    given = [Block(n, [x]) for n, x in zip(names, (pixels, first, relu, last, end), strict=True)]
    # what a Normalization has, it is given: it learns nothing
    assert [(b.name, b.layers) for b in blocks_that_learn(given)] == [
        ("b", [pixels, first, relu]), ("d", [last, end])
    ]  # fmt: skip


def test_a_normalisation_by_itself_is_no_block():
    norm, first, second, end, more = (
        keras.layers.BatchNormalization(), keras.layers.Dense(3), keras.layers.LayerNormalization(),
        keras.layers.BatchNormalization(), keras.layers.Dense(3),
    )  # fmt: skip
    layers = (norm, first, second, end, more)
    for layer in layers:
        layer.build((None, 3))
    found = blocks_that_learn([Block(n, [x]) for n, x in zip("abcde", layers, strict=True)])
    assert [(b.name, b.layers) for b in found] == [
        ("b", [norm, first, second, end]), ("e", [more])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("backbone", "last"), [("densenet121", "conv5_block16"), ("resnet50_v2", "conv5_block3")]
)
def test_the_last_block_convolves_and_the_norm_behind_it_is_part_of_it(backbone, last):
    """Both networks end in BatchNorm and ReLU behind their last block of convolutions."""
    model, spec = load_backbone(backbone, "none", (32, 32))
    blocks = backbone_blocks(model, spec)
    assert blocks[-1].name == last
    chosen = last_blocks(blocks, count=1)
    kernels = [path for path in chosen if path.endswith("/kernel")]
    assert len(kernels) >= 2
    assert any(path.split("/")[0] in ("bn", "post_bn") for path in chosen)


def test_neighbouring_blocks_of_which_the_same_is_so_are_one_line():
    blocks = [("stem", 5, 0), *((f"block_{k}", 15, 0) for k in range(1, 17)), ("block_17", 15, 9),
              ("block_18", 15, 12), ("top", 5, 5), ("head", 2, 2)]  # fmt: skip
    found = FreezePlan("full", [], [], {}, None, {}, blocks)
    assert describe(found).splitlines()[1:] == [
        "  stem to block_16          245 variables  frozen",
        "  block_17 to block_18       30 variables  21 train",
        "  top                         5 variables  trains",
        "  head                        2 variables  trains",
    ]
    assert len(describe(found, whole=True).splitlines()) == 1 + len(blocks)
