"""The SavedModel as TensorFlow Serving and its clients see it."""

import numpy as np
import pytest

from tlkit.data.dataset import Split
from tlkit.data.record import Record
from tlkit.evaluate.grad_cam import grad_cam
from tlkit.export import saved_model
from tlkit.runs.export import export_run
from tlkit.runs.trained_run import load_trained_run
from tlkit.tasks.classification import Classification


@pytest.fixture(scope="module")
def place(tiny_run):
    return tiny_run.folder / "export/saved_model/1"


@pytest.fixture(scope="module")
def model(place):
    import tensorflow as tf

    return tf.saved_model.load(str(place))


@pytest.fixture(scope="module")
def files(photos):
    return [(photos / name / "3.png").read_bytes() for name in ("red", "green", "blue")]


@pytest.fixture(scope="module")
def pixels(tiny_run, files):
    prepare = load_trained_run(tiny_run.folder).prepare()
    return np.stack([prepare(data) for data in files])


def test_explain_is_grad_cam_of_the_label(tiny_run, model, files, pixels):
    import tensorflow as tf

    answer = model.signatures["explain"](image_bytes=tf.constant(files))
    expected = grad_cam(
        load_trained_run(tiny_run.folder).logits, pixels, answer["label_id"].numpy()
    )
    assert answer["heat"].shape == expected.shape
    np.testing.assert_allclose(answer["heat"], expected, atol=1e-4)
    assert [name.decode() for name in answer["label"].numpy()] == ["red", "green", "blue"]


def test_features_are_what_the_head_gets(tiny_run, model, files, pixels):
    import keras
    import tensorflow as tf

    trained = load_trained_run(tiny_run.folder).model
    head = keras.Model(trained.input, trained.get_layer("head_pooling").output)
    answer = model.signatures["features"](image_bytes=tf.constant(files))
    assert set(answer) == {"features"}
    np.testing.assert_allclose(answer["features"], head(pixels), atol=1e-4)


def graph_of(place):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    message = SavedModel.FromString((place / "saved_model.pb").read_bytes())
    return message.meta_graphs[0]


def operations(place):
    return [node.op for f in graph_of(place).graph_def.library.function for node in f.node_def]


def test_the_network_is_constants_and_batch_norm_is_folded(tmp_path, files):
    import keras
    import tensorflow as tf

    given = keras.Input((16, 16, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3, use_bias=False)(given))
    x = keras.layers.Activation("silu")(x)  # it defines its own gradient, which cannot be saved
    x = keras.layers.GlobalAveragePooling2D(name="head_pooling")(x)
    model = keras.Model(given, keras.layers.Softmax(name="probabilities")(keras.layers.Dense(2)(x)))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.1, 1, weight.shape))
    split = Split([Record("a", "", None, lambda: files[0])], np.array([0]), ["a"])
    place = saved_model.saved_model(
        model, Classification(["a", "b"]), (16, 16), "crop", False, split, tmp_path
    )
    found = operations(place)
    assert "Conv2D" in found
    assert not {"ReadVariableOp", "Rsqrt"} & set(found)  # BatchNorm divides by a deviation
    images = rng.uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    served = tf.saved_model.load(str(place)).signatures["serving_default"](
        images=tf.constant(images)
    )
    np.testing.assert_allclose(served["probabilities"], model(images), atol=1e-4)
    tf.saved_model.save(tf.saved_model.load(str(place)), str(tmp_path / "again"))


def test_weights_too_large_for_a_graph_stay_variables(
    tiny_run, monkeypatch, tmp_path, place, files
):
    import tensorflow as tf

    monkeypatch.setattr(saved_model, "MOST_CONSTANTS", 0)
    (kept,) = export_run(tiny_run.folder, ["saved_model"], tmp_path, None)
    assert "ReadVariableOp" in operations(kept)
    answers = [
        tf.saved_model.load(str(folder)).signatures["explain"](image_bytes=tf.constant(files))
        for folder in (place, kept)
    ]
    np.testing.assert_allclose(answers[0]["heat"], answers[1]["heat"], atol=1e-5)


def test_explain_can_be_left_out(tiny_run):
    from tlkit.recipe.load import load_recipe

    recipe = load_recipe({
        "data": {"source": {"folder": "x"}}, "model": {"backbone": "tiny"},
        "finetune": {"stages": [{"policy": "head-only"}]},
        "export": [{"saved_model": {"explain": False}}],
    })  # fmt: skip
    assert recipe.export[0].arguments == {"explain": False}


def test_the_warmup_file_holds_requests_that_the_model_answers(place, model):
    """Read with TensorFlow Serving's own messages."""
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    file = place / "assets.extra" / "tf_serving_warmup_requests"
    logs = [PredictionLog.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(file))]
    assert 0 < len(logs) <= 1000  # more is an error in TensorFlow Serving
    warmed = {}
    for log in logs:
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        inputs = {
            name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()
        }
        warmed[request.model_spec.signature_name] = model.signatures[
            request.model_spec.signature_name
        ](**inputs)
    assert set(warmed) == set(model.signatures)


def test_a_grpc_request_fits_the_signature(place, model, files):
    """A client's PredictRequest, checked against the SignatureDef as TensorFlow Serving does."""
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

    request = PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "colours", "serve_bytes"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(files))
    read = PredictRequest.FromString(request.SerializeToString())
    definition = graph_of(place).signature_def[read.model_spec.signature_name]
    assert definition.method_name == "tensorflow/serving/predict"
    assert set(read.inputs) == set(definition.inputs)
    given, wanted = read.inputs["image_bytes"], definition.inputs["image_bytes"]
    assert given.dtype == wanted.dtype
    assert [d.size for d in wanted.tensor_shape.dim] == [-1]
    assert len(given.tensor_shape.dim) == 1
    answer = model.signatures["serve_bytes"](image_bytes=tf.constant(tf.make_ndarray(given)))
    assert set(answer) == set(definition.outputs)
    response = PredictResponse()
    for name, value in answer.items():
        assert value.dtype.as_datatype_enum == definition.outputs[name].dtype
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    got = PredictResponse.FromString(response.SerializeToString())
    assert list(got.outputs["label"].string_val) == [b"red", b"green", b"blue"]
    assert tf.make_ndarray(got.outputs["label_id"]).tolist() == [2, 1, 0]


@pytest.mark.parametrize("signature", ["serving_default", "serve_uint8"])
def test_litert_converts_the_signatures_for_pixels_with_its_own_operations(
    place, model, files, signature
):
    """As a user would, with TensorFlow's converter as it stands, and pictures of any size."""
    import io

    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    converter = tf.lite.TFLiteConverter.from_saved_model(str(place), signature_keys=[signature])
    interpreter = Interpreter(model_content=converter.convert())
    assert not any(
        detail["op_name"].startswith("Flex") for detail in interpreter._get_ops_details()
    )
    run = interpreter.get_signature_runner(signature)
    kind = "uint8" if signature == "serve_uint8" else "float32"
    photos = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), kind) for data in files]
    small = [photo[:32, :32] for photo in photos]
    for images in (np.stack(photos), np.stack(photos)[:1, :21], np.stack(small)):
        answer, expected = run(images=images), model.signatures[signature](tf.constant(images))
        np.testing.assert_allclose(
            answer["probabilities"], expected["probabilities"].numpy(), atol=1e-4
        )
        assert answer["label"].tolist() == expected["label"].numpy().tolist()


def test_what_is_loaded_can_be_saved_again(model, files, pixels, tmp_path):
    """As model registries do, with the signatures and without."""
    import tensorflow as tf

    expected = model.signatures["serving_default"](images=tf.constant(pixels, "float32"))
    tf.saved_model.save(model, str(tmp_path / "all"), signatures=model.signatures)
    again = tf.saved_model.load(str(tmp_path / "all"))
    assert set(again.signatures) == set(model.signatures)
    answer = again.signatures["serve_bytes"](image_bytes=tf.constant(files))
    np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-6)
    assert again.signatures["explain"](image_bytes=tf.constant(files))["heat"].shape[0] == 3
    tf.saved_model.save(model, str(tmp_path / "none"))
    again = tf.saved_model.load(str(tmp_path / "none"))
    assert set(again.signatures) == {"serving_default"}
    for answer in (
        again.signatures["serving_default"](images=tf.constant(pixels, "float32")),
        again(tf.constant(pixels, "float32")),
        again.serve_bytes(tf.constant(files)),
    ):
        np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-6)
