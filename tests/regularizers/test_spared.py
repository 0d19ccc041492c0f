"""What decay and regularisers leave alone: by the layers' meaning, not by the length of a list."""

import keras
import numpy as np
import pytest

from tlkit.layers import ResidualShrinkageBlock, SoftThreshold, WeightStandardizedConv2D
from tlkit.regularizers.apply import choose
from tlkit.regularizers.spared import is_spared

L = keras.layers
# layer, what it takes, and which of its variables are matrices of weights
LAYERS = {
    "dense": (lambda: L.Dense(4), (5,), ["kernel"]),
    "prelu": (lambda: L.PReLU(), (4, 4, 3), []),
    "norm": (lambda: L.LayerNormalization(axis=(1, 2, 3)), (4, 4, 3), []),
    "group": (lambda: L.GroupNormalization(1), (4, 4, 3), []),
    "separable": (lambda: L.SeparableConv2D(4, 3), (8, 8, 3),
                  ["depthwise_kernel", "pointwise_kernel"]),
    "einsum": (lambda: L.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"), (4, 6),
               ["kernel"]),
    "threshold": (lambda: SoftThreshold(), (4, 4, 3), []),
    "standardized": (lambda: WeightStandardizedConv2D(filters=4, kernel_size=3, gain=True),
                     (8, 8, 3), ["kernel"]),
    "shrinkage": (lambda: ResidualShrinkageBlock(), (8, 8, 4), ["kernel"] * 4),
    "embedding": (lambda: L.Embedding(7, 3), (4,), ["embeddings"]),
    "positions": (lambda: L.Embedding(7, 3, name="position_embedding"), (4,), []),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS)
def test_only_matrices_of_weights_are_left_to_decay(case):
    make, shape, matrices = LAYERS[case]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, make()(inputs))
    assert sorted(v.name for v in model.trainable_variables if not is_spared(v)) == matrices
    assert choose(model.trainable_variables, [], []) == [
        v for v in model.trainable_variables if not is_spared(v)
    ]


@pytest.mark.parametrize(
    ("path", "shape", "spared"),
    [
        # as KerasHub and keras.applications name them
        ("vit_patching_and_embedding/class_token", (1, 1, 8), True),
        ("embeddings/cls_token", (1, 1, 8), True),
        ("embeddings/register_tokens", (1, 4, 8), True),
        ("embeddings/mask_token", (1, 8), True),
        ("embeddings/distillation_token", (1, 1, 8), True),
        ("embeddings/position_embeddings", (1, 9, 8), True),
        ("vit/patching/position_embedding/embeddings", (9, 8), True),
        ("swin/attention/relative_position_bias_table", (49, 4), True),
        ("vit_det/attention/rel_pos_h", (27, 8), True),
        ("token_and_position_embedding/token_embedding/embeddings", (9, 8), False),
        ("attention/query/bias", (2, 4), True),
        ("block/layer_scale/gamma", (8,), True),
        ("norm/scale", (8,), True),
        ("attention/per_dim_scale", (2, 4), True),
        ("scale_conv/kernel", (3, 3, 4, 4), False),
        ("alpha_dense/kernel", (4, 4), False),
        ("pos_proj/kernel", (4, 4), False),
    ],
)
def test_names_of_other_libraries(path, shape, spared):
    class Component:
        pass

    v = Component()
    v.path, v.shape, v.name = path, shape, path.split("/")[-1]
    assert is_spared(v) == spared


def test_a_kernel_alone_of_convnext_decays():
    model = keras.applications.ConvNeXtTiny(weights=None, include_top=False,
                                             input_shape=(32, 32, 3))  # fmt: skip
    kept = {v.path for v in model.trainable_variables if not is_spared(v)}
    assert kept == {v.path for v in model.trainable_variables if v.path.endswith("kernel")}
    assert np.sum([v.name == "gamma" for v in model.trainable_variables]) > 18
