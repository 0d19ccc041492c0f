"""Keras's own tests, which its package holds, with tlkit's layers and losses in the place of Keras's."""

import importlib
import importlib.util

import keras
import pytest

from tlkit import losses
from tlkit.layers import FusedBatchNormalization, FusedGroupNormalization

NORMS, LOSSES = "keras.src.layers.normalization", "keras.src.losses.losses"
CROSS_ENTROPY = type(losses.cross_entropy())


def own_tests(file, name, where, replaced, by, leave_out=()):
    """A test class of Keras as a new one, in which a name means something of tlkit's."""
    if importlib.util.find_spec(file) is None:
        return pytest.mark.skip(f"keras {keras.__version__} came without its tests")(
            type(f"Test{name}", (), {"test_all": lambda self: None})
        )

    @pytest.fixture(autouse=True)
    def in_place(self, monkeypatch):
        module = importlib.import_module(where)
        assert hasattr(module, replaced)
        monkeypatch.setattr(module, replaced, by)

    base = getattr(importlib.import_module(file), name)
    missing = [test for test in leave_out if not hasattr(base, test)]
    assert not missing, missing
    parts = {**dict.fromkeys(leave_out), "in_place": in_place, "__module__": __name__}
    return type(f"Test{name}", (base,), parts)


TestBatchNormalization = own_tests(
    f"{NORMS}.batch_normalization_test", "BatchNormalizationTest",
    "keras.src.layers", "BatchNormalization", FusedBatchNormalization,
)  # fmt: skip
TestGroupNormalization = own_tests(
    f"{NORMS}.group_normalization_test", "GroupNormalizationTest",
    "keras.src.layers", "GroupNormalization", FusedGroupNormalization,
)  # fmt: skip
TestCategoricalHinge = own_tests(
    f"{LOSSES}_test", "CategoricalHingeTest", LOSSES, "CategoricalHinge", losses.hinge
)
TestCategoricalCrossentropy = own_tests(
    f"{LOSSES}_test", "CategoricalCrossentropyTest", LOSSES, "CategoricalCrossentropy",
    # it expects probabilities where nothing is said
    lambda **given: CROSS_ENTROPY(**{"from_logits": False, **given}),
    # there is no `axis`; class ids are no mismatch
    leave_out=("test_config", "test_shape_mismatch"),
)  # fmt: skip
TestSparseCategoricalCrossentropy = own_tests(
    f"{LOSSES}_test", "SparseCategoricalCrossentropyTest", LOSSES,
    "SparseCategoricalCrossentropy",
    lambda **given: CROSS_ENTROPY(**{"from_logits": False, **given}),
    # there is no `axis` and no `ignore_class`
    leave_out=(
        "test_ignore_class", "test_binary_segmentation_different_axis",
        "test_multi_class_segmentation_different_axis",
        "test_squeezes_singleton_class_dim_on_user_axis",
    ),
)  # fmt: skip
TestCategoricalFocalCrossentropy = own_tests(
    f"{LOSSES}_test", "CategoricalFocalCrossentropyTest", LOSSES,
    "CategoricalFocalCrossentropy",
    lambda **given: losses.Focal(**{"from_logits": False, "alpha": 0.25, **given}),
)  # fmt: skip
