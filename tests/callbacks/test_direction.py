"""Directions by name, against what Keras's metrics say of themselves."""

import keras
import pytest

from tlkit.callbacks.direction import direction_of

METRICS = [
    keras.metrics.AUC(), keras.metrics.BinaryAccuracy(), keras.metrics.CategoricalAccuracy(),
    keras.metrics.SparseTopKCategoricalAccuracy(k=5), keras.metrics.Precision(),
    keras.metrics.Recall(), keras.metrics.PrecisionAtRecall(0.5), keras.metrics.F1Score(),
    keras.metrics.FBetaScore(), keras.metrics.MeanIoU(2), keras.metrics.OneHotIoU(2, [0]),
    keras.metrics.R2Score(), keras.metrics.CosineSimilarity(), keras.metrics.MeanSquaredError(),
    keras.metrics.MeanAbsoluteError(), keras.metrics.RootMeanSquaredError(),
    keras.metrics.MeanAbsolutePercentageError(), keras.metrics.CategoricalCrossentropy(),
    keras.metrics.KLDivergence(), keras.metrics.Poisson(), keras.metrics.LogCoshError(),
    keras.metrics.CategoricalHinge(),
]  # fmt: skip


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_kerass_metrics_have_the_direction_that_they_say(metric):
    expected = {"up": "max", "down": "min"}[metric._direction]
    for name in (metric.name, f"val_{metric.name}", f"val_{metric.name}_3"):
        assert direction_of(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("val_loss", "min"), ("loss", "min"), ("val_acc", "max"), ("valMeanIoU", "max"),
     ("val_mAP50", "max"), ("AUC", "max"), ("val_top_5_accuracy", "max"), ("val_dice_loss", "min"),
     ("val_r2", "max"), ("val_f1", "max"), ("rmse", "min"), ("val_ECE", "min"),
     ("true_positives", "max"),
     ("val_false_negatives_1", "min"), ("val_quality", None), ("val_recall_at_error_5", None), ("val_time", None)],
)  # fmt: skip
def test_other_names(name, expected):
    assert direction_of(name) == expected
