import csv

from tlkit import use


def test_evaluating_on_training_images_is_said(tiny_run, photos, tmp_path):
    figures = use.evaluate_run(tiny_run.folder, photos, tmp_path, None)
    with open(tiny_run.folder / "images.csv", newline="", encoding="utf-8") as file:
        train = sum(row["split"] == "train" for row in csv.DictReader(file))
    assert figures["trained_on"] == train > 30
    assert figures["files"] == {"files": 60, "used": {"test": 60}, "ignored": [], "broken": 0}
