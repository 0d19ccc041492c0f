import h5py
import keras
import numpy as np
import pytest

from tlkit.backbones.load import load_backbone
from tlkit.backbones.tiny import Tiny
from tlkit.backbones.weights import load_weights
from tlkit.errors import UserError, WeightsError


def small(channels=3, top=False, seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, channels, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    if top:
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        x = keras.layers.Dense(5, name="top")(x)
    return keras.Model(inputs, x, name="small")


def same(a, b):
    for x, y in zip(a.weights, b.weights, strict=False):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("ending", ["w.weights.h5", "w.keras", "w.h5"])
def test_each_kind_of_file_gives_its_weights_with_or_without_top(tmp_path, ending, top):
    source, target = small(top=top, seed=1), small(seed=2)
    source.get_layer("norm").moving_mean.assign([1, 2, 3, 4])
    if ending == "w.weights.h5":
        source.save_weights(tmp_path / ending)
    else:
        source.save(tmp_path / ending)
    assert load_weights(target, tmp_path / ending) == 6
    same(target, source)


def test_a_legacy_file_of_weights_alone_is_read(tmp_path):
    """As Keras 2 wrote them: groups of layers with their weights' names as attributes."""
    source = small(seed=3)
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in source.layers]
        for layer in source.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{w.name}:0" for w in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = np.asarray(weight)
    target = small(seed=4)
    load_weights(target, tmp_path / "old.h5")
    same(target, source)


def test_a_backbone_is_found_inside_a_whole_fine_tuned_model(tmp_path):
    base = small(seed=5)
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Flatten()(base(keras.layers.Rescaling(2.0)(inputs)))
    keras.Model(inputs, outputs).save(tmp_path / "whole.keras")
    target = small(seed=6)
    load_weights(target, tmp_path / "whole.keras")
    same(target, base)


@pytest.mark.parametrize("ending", ["w.weights.h5", "w.keras"])
def test_mismatches_are_listed_weight_by_weight(tmp_path, ending):
    source = small(channels=5)
    (source.save_weights if ending.endswith("h5") else source.save)(tmp_path / ending)
    target = small(seed=9)
    before = [np.asarray(w) for w in target.weights]
    with pytest.raises(WeightsError) as caught:
        load_weights(target, tmp_path / ending)
    assert "1 of 6 weights differ" in str(caught.value)
    assert "(5, 5, 3, 4), small has (3, 3, 3, 4)" in str(caught.value)
    for weight, value in zip(target.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("gone.weights.h5", None, "no such weights file"), ("x.weights.h5", b"no", "not an HDF5 file"),
     ("x.keras", b"no", "cannot be loaded by Keras"), ("x.bin", b"no", "expected .weights.h5")],
)  # fmt: skip
def test_what_is_no_weights_file_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        load_weights(small(), tmp_path / name)


def test_a_file_of_another_architecture_is_refused(tmp_path):
    load_backbone("mobilenet_v2", "none", (32, 32))[0].save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(WeightsError, match="weights differ"):
        load_backbone(
            "mobilenet_v2", str(tmp_path / "w.weights.h5"), (32, 32), arguments={"alpha": 0.35}
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "tiny", "image_size": (16, 16)}, "at least 32 pixels a side, found 16 x 16"),
        ({"name": "tinny"}, "Did you mean 'tiny'"),
        ({"name": "tiny", "weights": "none", "arguments": {"alpha": 2}}, "does not take them"),
        ({"name": "mobilenet_v2", "weights": "bundled"}, "no weights are bundled"),
        ({"name": "tiny", "weights": "imagenet"}, "no imagenet weights"),
    ],
)
def test_wrong_requests_are_explained(arguments, message):
    with pytest.raises(UserError, match=message):
        load_backbone(**arguments)


def test_bundled_weights_are_those_of_the_file_and_small():
    model, spec = load_backbone("tiny", image_size=(32, 32))
    assert spec.bundled_file().stat().st_size < 2e6
    fresh = Tiny()
    assert any(
        np.abs(np.asarray(a) - np.asarray(b)).max() > 0.01
        for a, b in zip(model.weights, fresh.weights, strict=True)
    )


@pytest.mark.parametrize("side", [32, 33, 57, 100])
def test_tiny_takes_any_size_from_32_up(side):
    model, _ = load_backbone("tiny", image_size=(side, side + 5))
    out = model(np.zeros((2, side, side + 5, 3), "float32"))
    assert out.shape == (2, -(-side // 8), -(-(side + 5) // 8), 128)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A loopback server in the place of Keras's own."""
    import functools
    import http.server
    import threading

    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    import keras.src.applications.mobilenet_v2 as module

    address = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(module, "BASE_WEIGHT_PATH", address)
    monkeypatch.setattr(
        "keras.src.utils.file_utils.config.keras_home",
        lambda: str(tmp_path / "home"),
        raising=False,
    )
    yield folder
    server.shutdown()


def test_imagenet_weights_are_downloaded(host):
    served, _ = load_backbone("mobilenet_v2", "none", (96, 96), arguments={"alpha": 0.35})
    served.save_weights(host / "x.weights.h5")
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"
    served.save(host / "whole.h5")
    with h5py.File(host / "whole.h5") as whole, h5py.File(host / name, "w") as file:
        for key, value in whole["model_weights"].attrs.items():
            file.attrs[key] = value
        for key in whole["model_weights"]:
            whole.copy(f"model_weights/{key}", file)
    got, _ = load_backbone("mobilenet_v2", "imagenet", (96, 96), arguments={"alpha": 0.35})
    same(got, served)


def test_without_a_network_the_message_says_what_to_do(host):
    with pytest.raises(
        WeightsError, match=r"could not be downloaded.*name a file with model.weights"
    ):
        load_backbone("mobilenet_v2", "imagenet", (128, 128), arguments={"alpha": 0.5})


@pytest.mark.assets
@pytest.mark.parametrize(
    ("file", "name", "top", "arguments"),
    [
        ("mobilenet_v2_1.0_224.weights.h5", "mobilenet_v2", True, {}),
        ("mobilenet_v2_1.0_224.weights.h5", "mobilenet_v2", False, {}),
        ("mobilenet_v2_0.35_224_no_top.weights.h5", "mobilenet_v2", False, {"alpha": 0.35}),
        ("mobilenet_v1_0.25_224.weights.h5", "mobilenet", False, {"alpha": 0.25}),
    ],
)
def test_real_weights_load_with_and_without_top(assets, file, name, top, arguments):
    model, _ = load_backbone(name, str(assets / "weights" / file), (224, 224), top, arguments)
    assert model.count_params() > 2e5
