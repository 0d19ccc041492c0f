"""KerasHub presets; skipped, visibly, where KerasHub is not installed."""

import keras
import numpy as np
import pytest

from tlkit.backbones.load import load_backbone
from tlkit.errors import UserError, WeightsError
from tlkit.freeze import backbone_blocks
from tlkit.model import preprocess


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    hub = pytest.importorskip("keras_hub")
    folder = tmp_path_factory.mktemp("preset")
    backbone = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 2],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )
    backbone.save_to_preset(str(folder))
    converter = hub.layers.ResNetImageConverter(scale=[0.1, 0.2, 0.3], offset=[1.0, 2.0, 3.0])
    converter.save_to_preset(str(folder))
    return folder, backbone


def test_a_local_preset_is_loaded_with_its_weights_and_scaling(preset):
    folder, original = preset
    backbone, spec = load_backbone(f"hub:{folder}", image_size=(64, 64))
    for a, b in zip(backbone.weights, original.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    image = np.ones((1, 4, 4, 3), "float32") * 10
    inputs = keras.Input((4, 4, 3))
    got = keras.Model(inputs, preprocess(inputs, spec))(image)
    np.testing.assert_allclose(got[0, 0, 0], [2.0, 4.0, 6.0], rtol=1e-6)
    names = [block.name for block in backbone_blocks(backbone, spec)]
    assert names == ["stem", "stack0_block0", "stack1_block0", "stack1_block1"]


def test_a_preset_that_is_not_there_is_explained(preset, tmp_path):
    with pytest.raises(WeightsError, match="could not be loaded"):
        load_backbone(f"hub:{tmp_path}")
    with pytest.raises(UserError, match="weights auto or none"):
        load_backbone(f"hub:{preset[0]}", weights="imagenet")


def test_without_keras_hub_the_message_says_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(UserError, match=r"pip install 'tlkit\[hub\]'"):
        load_backbone("hub:resnet_50_imagenet")
