"""A person's own Keras callbacks in tlkit's loop."""

import csv
import json

import keras
import numpy as np
import pytest
from keras.callbacks import Callback, CSVLogger, EarlyStopping, LambdaCallback, ModelCheckpoint

import tlkit
from tlkit.errors import UserError


class Heard(Callback):
    """Writes down which hooks are called, and with what numbers."""

    def __init__(self):
        super().__init__()
        self.hooks, self.logs, self.models = [], [], set()

    def _hear(self, name, *place, logs):
        self.hooks.append((name, *place))
        self.logs.append(logs)
        self.models.add((self.model.input_shape, self.model.output_shape))

    def on_train_begin(self, logs=None):
        self._hear("train begin", logs=logs)

    def on_epoch_begin(self, epoch, logs=None):
        self._hear("epoch begin", epoch, logs=logs)

    def on_train_batch_begin(self, batch, logs=None):
        self._hear("batch begin", batch, logs=logs)

    def on_train_batch_end(self, batch, logs=None):
        self._hear("batch end", batch, logs=logs)

    def on_epoch_end(self, epoch, logs=None):
        self._hear("epoch end", epoch, logs=logs)

    def on_train_end(self, logs=None):
        self._hear("train end", logs=logs)


def rows(file):
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def ran(recipe, folder, *callbacks, **stage):
    recipe["finetune"]["stages"] = [{"policy": "head-only", "epochs": 2, "batch_size": 16, **stage}]
    return tlkit.finetune(recipe, run_dir=folder, console=None, callbacks=callbacks)


def test_hooks_are_called_as_fit_calls_them(recipe, tmp_path):
    ours, theirs = Heard(), Heard()
    run = ran(recipe, tmp_path / "run", ours)
    count = sum(json.loads((run.folder / "data.json").read_text())["counts"]["train"].values())
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(np.zeros((count, 3)), np.zeros((count, 2)), 16, 2, verbose=0, callbacks=[theirs])
    assert ours.hooks == theirs.hooks
    assert ours.params["epochs"] == theirs.params["epochs"] == 2
    assert ours.params["steps"] == theirs.params["steps"]
    # a stage that trains on features has the whole network all the same
    assert ours.models == {((None, 32, 32, 3), (None, 3))}
    assert run.model.output_shape == (None, 3)
    last = ours.logs[-2]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} <= set(last)
    losses = [float(row["val_loss"]) for row in rows(run.folder / "metrics.csv") if row["val_loss"]]
    assert last["val_loss"] == pytest.approx(losses[-1], rel=1e-6)


def test_a_checkpoint_holds_the_whole_network_as_it_is_at_the_end(recipe, tmp_path, photos):
    recipe["finetune"]["best_weights"] = False
    file = tmp_path / "last.keras"
    run = ran(
        recipe, tmp_path / "run", ModelCheckpoint(str(file)), CSVLogger(str(tmp_path / "log.csv"))
    )
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("float32")
    saved = keras.models.load_model(file)
    np.testing.assert_allclose(saved.predict(images), run.model.predict(images), atol=1e-6)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


def test_a_callback_ends_the_stage_and_not_the_run(recipe, tmp_path):
    seen = []

    class Counts(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(epoch)

        def on_train_batch_end(self, batch, logs=None):
            seen.append(f"batch {batch}")
            if seen.count("batch 0") == 3:
                self.model.stop_training = True

    early = EarlyStopping(monitor="val_accuracy", mode="max", min_delta=1.0, patience=1)
    recipe["finetune"]["stages"] = [
        {"policy": "head-only", "epochs": 9, "batch_size": 64},
        {"policy": "norms-only", "epochs": 9, "batch_size": 16},
    ]
    run = tlkit.finetune(
        recipe, run_dir=tmp_path / "run", console=None, callbacks=[early, Counts()]
    )
    # the first by EarlyStopping after two epochs, the second in the first batch of its first epoch
    assert seen == [0, "batch 0", 1, "batch 0", 0, "batch 0"]
    assert [stage["epochs"] for stage in run.result["stages"]] == [2, 1]
    assert run.result["status"] == "done"


@pytest.mark.parametrize("kind", [OSError, MemoryError, KeyError, tlkit.UserError])
def test_what_a_callback_raises_is_raised_as_it_is(recipe, tmp_path, kind):
    mine = kind("of my own")

    def fail(epoch, logs):
        raise mine

    with pytest.raises(kind) as error:
        ran(recipe, tmp_path / "run", LambdaCallback(on_epoch_end=fail))
    assert error.value is mine
    assert any("callback" in note for note in mine.__notes__)
    status = json.loads((tmp_path / "run" / "result.json").read_text())
    assert status["status"] == "failed" and "of my own" in status["error"]


def test_a_stopped_run_goes_on_with_callbacks(recipe, tmp_path):
    def stop(epoch, logs):
        raise KeyboardInterrupt

    with pytest.raises(tlkit.Interrupted):
        ran(recipe, tmp_path / "run", LambdaCallback(on_epoch_begin=stop))
    heard = Heard()
    run = tlkit.resume(tmp_path / "run", console=None, callbacks=[heard])
    assert [hook for hook in heard.hooks if hook[0] != "batch begin"][:2] == [("train begin",), ("epoch begin", 0)]  # fmt: skip
    assert heard.hooks[-1] == ("train end",) and run.result["status"] == "done"


@pytest.mark.parametrize(
    ("callbacks", "said"),
    [
        (EarlyStopping(), "expected a list of Keras callbacks, found EarlyStopping"),
        ([EarlyStopping], "expected Keras callbacks, found EarlyStopping. Put its parentheses."),
        ([print], "expected Keras callbacks, found print"),
    ],
)
def test_what_is_no_callback_is_refused_at_once(recipe, tmp_path, callbacks, said):
    with pytest.raises(UserError, match="callbacks: ") as error:
        tlkit.finetune(recipe, run_dir=tmp_path / "run", console=None, callbacks=callbacks)
    assert said in str(error.value)
