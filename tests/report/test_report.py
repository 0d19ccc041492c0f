"""report.html in a real browser, and what it says."""

import html
import json
import re
import shutil

import numpy as np
import pytest

import tlkit
from tests.browser import CHROMIUM, page_after
from tlkit.errors import RunError
from tlkit.evaluate.grad_cam import grad_cam
from tlkit.report.reading import read_curves
from tlkit.runs.report import rewrite_report
from tlkit.tasks.classification import Classification
from tlkit.tasks.classification.calibration import calibration
from tlkit.tasks.classification.examples import choose_examples
from tlkit.tasks.classification.intervals import intervals
from tlkit.train.record import Recorder

# in a frame as wide as the screen: how wide the page is, what sticks out of it, and what did not load
MEASURE = """
<iframe id=f style="border:0;width:{width}px;height:900px"></iframe><pre id=out></pre><script>
const frame = document.getElementById('f');
frame.onload = () => {{
  const page = frame.contentDocument, inside = e => e.closest('.scroll, pre');
  const out = [...page.body.querySelectorAll('*')].filter(
    e => !inside(e) && e.getBoundingClientRect().right > {width} + 1);
  document.getElementById('out').textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth,
    out: out.map(e => e.outerHTML.slice(0, 80)),
    broken: [...page.images].filter(i => !i.complete || !i.naturalWidth).length,
    images: page.images.length,
    titles: [...page.querySelectorAll('h2')].map(e => e.textContent),
    text: page.body.innerText.length,
  }});
}};
frame.srcdoc = {page};
</script>
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory, photos):
    """A small run with two stages and mistakes in it."""
    recipe = {
        "name": "a & <b>", "data": {"source": {"folder": str(photos)}, "image_size": 32, "batch_size": 8},
        "model": {"backbone": "tiny", "weights": "none"},
        "finetune": {"stages": [{"policy": "head-only", "epochs": 3},
                                {"policy": {"last-blocks": 1}, "epochs": 3}]},
        "export": [],
    }  # fmt: skip
    recipe["name"] = "small-run"
    return tlkit.finetune(recipe, run_dir=tmp_path_factory.mktemp("report") / "run")


def in_a_browser(page, width, tmp_path):
    file = tmp_path / "measure.html"
    given = json.dumps(page).replace("</", "<\\/")
    file.write_text(MEASURE.format(width=width, page=given), "utf-8")
    (out,) = re.findall(r"<pre id=\"out\">(.*?)</pre>", page_after(file.as_uri(), tmp_path), re.S)
    return json.loads(html.unescape(out))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_missing_or_sticks_out(run, width, tmp_path):
    seen = in_a_browser((run.folder / "report.html").read_text("utf-8"), width, tmp_path)
    assert seen["out"] == []
    assert seen["width"] <= width
    assert (seen["broken"], seen["images"] > 4) == (0, True)
    assert [title for title in seen["titles"] if "mistakes" not in title] == [
        "Curves", "Confusion matrix", "Calibration", "Images as the network gets them",
        "What trained", "Classes", "The images it is least sure of", "Time and memory",
        "How to use and repeat it", "Recipe",
    ]  # fmt: skip


def test_the_page_needs_nothing_else(run):
    page = (run.folder / "report.html").read_text("utf-8")
    assert not re.findall(r"(?:src|href)=(?!'data:)", page)
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_it_is_written_anew_from_the_folder(run):
    path = run.folder / "report.html"
    before = path.read_text("utf-8")
    path.unlink()
    assert rewrite_report(run.folder) == path
    assert path.read_text("utf-8") == before


def test_a_run_without_a_result_has_no_report(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run.folder, other)
    (other / "result.json").write_text('{"status": "failed"}')
    with pytest.raises(RunError, match="its status is 'failed'"):
        rewrite_report(other)


def test_a_run_without_known_labels_has_a_report_all_the_same(photos, tmp_path):
    """Classes that ImageNet has not: predictions, and nothing to compare them with."""
    recipe = {
        "name": "unknown", "data": {"source": {"folder": str(photos)}, "image_size": 32},
        "model": {"backbone": "mobilenet_v2", "weights": "none", "head": "original",
                  "arguments": {"alpha": 0.35}},
        "finetune": {"stages": [{"policy": "predict-only"}]}, "export": [],
    }  # fmt: skip
    run = tlkit.finetune(recipe, run_dir=tmp_path / "run")
    assert run.result["evaluation"] == {"images": 0}
    page = (run.folder / "report.html").read_text("utf-8")
    assert "The images it is least sure of" in page
    assert "Confusion" not in page


def test_intervals_hold_as_often_as_they_say():
    """Of many samples of a known classifier, 95 % of the intervals contain the truth."""
    rng = np.random.default_rng(0)
    truth = np.array([[40.0, 8, 2], [5, 30, 5], [2, 3, 15]])
    cells = truth / truth.sum()
    recall = np.diag(cells) / cells.sum(1)
    hits = {"accuracy": 0, "balanced_accuracy": 0}
    for seed in range(200):
        drawn = rng.multinomial(300, cells.ravel()).reshape(3, 3)
        found = intervals(drawn, seed=seed)
        for key, value in (("accuracy", np.trace(cells)), ("balanced_accuracy", recall.mean())):
            low, high = found[key]
            hits[key] += low <= value <= high
    assert 0.9 < hits["accuracy"] / 200 <= 0.99
    assert 0.9 < hits["balanced_accuracy"] / 200 <= 0.99


def test_calibration_is_that_of_a_loop_over_bins():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 500)
    labels = rng.integers(0, 4, 500)
    expected, sure = 0.0, probabilities.max(1)
    for k in range(15):
        inside = [(k / 15 <= s < (k + 1) / 15) for s in sure]
        if any(inside):
            right = (probabilities.argmax(1) == labels)[inside].mean()
            expected += np.mean(inside) * abs(right - sure[inside].mean())
    assert calibration(probabilities, labels)["ece"] == pytest.approx(expected)
    exact = np.eye(4)[labels]
    assert calibration(exact, labels)["ece"] == 0


def test_examples_are_the_worst_first():
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.55, 0.45], [0.99, 0.01]])
    found = choose_examples(p, np.array([1, 1, 0, 1]))
    assert found == {"mistakes": [3, 0], "unsure": [2, 1, 0, 3]}


def test_grad_cam_is_its_formula():
    """Global average and a dense layer: the weights of the map are the kernel over the places."""
    import keras

    inputs = keras.Input((16, 16, 3))
    y = keras.layers.Conv2D(5, 3, strides=2, padding="same", activation="relu", name="map")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(y)
    model = keras.Model(inputs, keras.layers.Dense(4)(pooled))
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3)).astype("uint8")
    classes = np.array([0, 1, 2, 3, 0, 1])
    maps = np.asarray(keras.Model(inputs, y)(images.astype("float32")))
    kernel = np.asarray(model.layers[-1].kernel)[:, classes].T / 64
    heat = np.maximum(np.einsum("nhwk,nk->nhw", maps, kernel), 0)
    expected = heat / np.maximum(heat.max((1, 2), keepdims=True), 1e-12)
    np.testing.assert_allclose(grad_cam(model, images, classes), expected, atol=1e-4)


def test_a_network_without_places_has_no_heat_map():
    import keras

    inputs = keras.Input((1, 1, 3))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    assert grad_cam(model, np.zeros((2, 1, 1, 3)), np.array([0, 1])) is None


def metrics(tmp_path, epochs, steps=(), **more):
    """A metrics.csv with the given losses: (train, val, train accuracy, val accuracy) an epoch."""
    path = tmp_path / "metrics.csv"
    columns = ["stage", "epoch", "step", "loss", "accuracy", "val_loss", "val_accuracy", *more]
    lines = [",".join(columns)]
    lines += [f"s,1,{k},{loss},0.5,," + "," * len(more) for k, loss in enumerate(steps)]
    for k, row in enumerate(epochs):
        train, val, accuracy, val_accuracy = row
        rest = "".join(f",{values[k]}" for values in more.values())
        lines.append(f"s,{k + 1},{k},{train},{accuracy},{val},{val_accuracy}{rest}")
    path.write_text("\n".join(lines))
    return [(r.kind, r.text) for r in read_curves(path, Classification.metric, [{"name": "s"}])]


def test_a_stage_called_as_a_formula_is_a_name_in_metrics_and_is_read_again(tmp_path):
    recorder = Recorder(tmp_path, Classification.metric)
    recorder.set_params({"stage": "=1+1 猫", "epochs": 3})
    for loss, val in ((1.0, 1.0), (1.4, 1.5), (1.9, 2.0)):
        recorder.on_train_batch_end(0, {"loss": loss, "accuracy": 0.5})
        recorder.on_epoch_end(
            0, {"loss": loss, "accuracy": 0.5, "val_loss": val, "val_accuracy": 0.5}
        )
    recorder.rewind()  # reads what was written
    recorder.close()
    rows = (tmp_path / "metrics.csv").read_text("utf-8").splitlines()[1:]
    assert len(rows) == 6 and all(row.startswith("'=1+1 猫,") for row in rows)
    (found,) = read_curves(tmp_path / "metrics.csv", Classification.metric, [{"name": "=1+1 猫"}])
    assert (found.stage, found.kind) == ("=1+1 猫", "rate too high")


def test_curves_are_read(tmp_path):
    fine = [(1.0, 1.0, 0.6, 0.6), (0.5, 0.6, 0.9, 0.88), (0.4, 0.59, 0.95, 0.9)]
    assert metrics(tmp_path, fine) == []
    over = [(1.0, 0.9, 0.6, 0.6), (0.5, 0.6, 0.8, 0.7), (0.3, 0.7, 0.9, 0.7), (0.1, 0.9, 1, 0.7)]
    ((kind, text),) = metrics(tmp_path, over)
    assert kind == "overfitting"
    assert "since epoch 2 the validation loss rises, from 0.6 to 0.9" in text
    high = [(1.0, 1.0, 0.5, 0.5), (1.4, 1.5, 0.5, 0.5), (1.9, 2.0, 0.4, 0.4)]
    assert metrics(tmp_path, high)[0][0] == "rate too high"
    low = [(1.60, 1.6, 0.3, 0.3), (1.59, 1.59, 0.3, 0.3), (1.58, 1.58, 0.31, 0.3)]
    assert metrics(tmp_path, low)[0][0] == "rate too low"
    under = [(1.0, 1.0, 0.5, 0.5), (0.8, 0.8, 0.6, 0.6), (0.79, 0.795, 0.61, 0.6)]
    assert metrics(tmp_path, under)[0][0] == "underfitting"
    unfinished = [(1.0, 1.0, 0.5, 0.5), (0.7, 0.8, 0.7, 0.7), (0.5, 0.6, 0.9, 0.8)]
    assert metrics(tmp_path, unfinished)[0][0] == "not finished"
    flat = [(0.5, 0.5, 0.9, 0.9)] * 2 + [(0.45, 0.5, 0.95, 0.88)] * 6
    assert metrics(tmp_path, flat)[0][0] == "plateau"
    assert metrics(tmp_path, fine, data_wait=[0.6, 0.5, 0.6])[0][0] == "data-bound"
    assert metrics(tmp_path, fine, dead_relu=[0.1, 0.4, 0.7])[0][0] == "dead ReLUs"
    assert metrics(tmp_path, fine[:2], steps=[1.0] * 10 + [3.0] * 10)[0][0] == "rate too high"
