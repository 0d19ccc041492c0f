"""The table of backbones against Keras itself."""

import inspect

import keras
import numpy as np
import pytest

from tests.conftest import FAMILIES
from tlkit.backbones import spec as specs
from tlkit.freeze import backbone_blocks, flat_layers, last_blocks
from tlkit.model import preprocess

CONSTRUCTORS = {
    name: thing
    for name, thing in vars(keras.applications).items()
    if inspect.isfunction(thing) and name[0].isupper()
}


def test_every_constructor_of_keras_applications_has_its_spec():
    ours = {specs.find(name).constructor.split(":")[1] for name in specs.names() if name != "tiny"}
    assert ours == set(CONSTRUCTORS)
    assert len(ours) == 40


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.slow
def test_blocks_cover_every_layer_in_order_and_the_count_is_right(name):
    spec = specs.find(name)
    model = spec.build(include_top=False, weights=None, input_shape=(spec.minimum_size,) * 2 + (3,))
    names = [layer.name for layer in model.layers]
    blocks = spec.blocks_of(names)
    assert [layer for _, layers in blocks for layer in layers] == names
    # every block that is counted has something to train, and no layer is lost
    learning = backbone_blocks(model, spec)
    assert all(any(v.trainable for v in block.variables()) for block in learning)
    assert [layer for block in learning for layer in block.layers] == flat_layers(model)
    one = last_blocks(learning, count=1)
    # a normalisation by itself learns no features
    assert any(len(v.shape) > 1 for v in model.weights if v.path in one)
    labels = [label for label, _ in blocks]
    assert len(set(labels)) == len(labels)
    assert len(blocks) >= 6
    assert model.count_params() / 1e6 == pytest.approx(spec.parameters, abs=0.06)


@pytest.mark.parametrize(
    ("name", "first", "last", "count"),
    [
        # the papers' own block counts: 17 inverted residuals (Sandler et al., table 2), 16 bottlenecks (He
        # et al., table 1), 13 separable convolutions (Howard et al., table 1)
        ("mobilenet_v2", "expanded_conv", "block_16", 17),
        ("resnet50", "conv2_block1", "conv5_block3", 16),
        ("mobilenet", "1", "13", 13),
        ("vgg16", "block1", "block5", 5),
    ],
)
def test_blocks_are_those_of_the_papers(name, first, last, count):
    spec = specs.find(name)
    model = spec.build(include_top=False, weights=None, input_shape=(64, 64, 3))
    labels = [label for label, _ in spec.blocks_of([layer.name for layer in model.layers])]
    inner = labels[labels.index(first) : labels.index(last) + 1]
    assert len(inner) == count


@pytest.mark.parametrize("name", specs.names())
def test_preprocessing_equals_that_of_keras(name):
    spec = specs.find(name)
    image = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    inputs = keras.Input((4, 4, 3))
    ours = keras.Model(inputs, preprocess(inputs, spec))(image)
    if name == "tiny":
        expected = image / 127.5 - 1
    else:
        family = CONSTRUCTORS[spec.constructor.split(":")[1]].__module__.split(".")[-1]
        expected = getattr(keras.applications, family).preprocess_input(image.copy())
    np.testing.assert_allclose(ours, expected, atol=2e-5)


@pytest.mark.parametrize("name", [n for n in specs.names() if n not in ("tiny",)])
def test_sizes_are_those_of_the_constructors(name):
    import importlib

    spec = specs.find(name)
    module = importlib.import_module(CONSTRUCTORS[spec.constructor.split(":")[1]].__module__)
    source = inspect.getsource(module)
    assert f"min_size={spec.minimum_size}" in source or spec.minimum_size == 32
