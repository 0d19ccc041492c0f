"""What writes the course of training down, one file each: `csv`, `tensorboard`, `mlflow`."""

from tlkit.trackers.tracker import Place, Tracker

__all__ = ["Place", "Tracker"]
