"""Trackers that record the progress of training, one file each: `csv`, `tensorboard`, `mlflow`."""

from tlkit.trackers.tracker import Place, Tracker

__all__ = ["Place", "Tracker"]
