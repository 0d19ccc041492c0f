"""A run on an MLflow server, or in MLflow's local files."""

from __future__ import annotations

import json
import os
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tlkit.errors import UserError
from tlkit.registry import register
from tlkit.trackers.tracker import Place, Tracker

MOST_METRICS = 1000  # in one request, by MLflow's own limit
MOST_PARAMS = 100
STATUS = {"done": "FINISHED", "below requirement": "FINISHED", "interrupted": "KILLED"}


@register("mlflow")
class MLflow(Tracker):
    """Logs parameters, metrics and result.json of the run to MLflow; needs `tlkit[mlflow]`.

    Metrics are sent when an epoch ends and when a checkpoint is saved. A resumed run continues
    the same MLflow run, whose id is stored in `mlflow.json`, and sends no step twice.

    Args:
        experiment: Name of the experiment; created if it does not exist.
        uri: Address of the server; None to use MLFLOW_TRACKING_URI.
    """

    def __init__(self, *, experiment: str = "tlkit", uri: str | None = None):
        self.experiment, self.uri = experiment, uri
        self._waiting: list[Any] = []
        self._sent = {"step": -1, "epoch": -1}  # the last step that MLflow has

    def began(self, recipe: Mapping[str, Any], folder: pathlib.Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would tell its makers
        try:
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise UserError(
                "the tracker needs MLflow, which is not installed",
                where="trackers: mlflow",
                hint="pip install 'tlkit[mlflow]'",
            ) from None
        self._client = MlflowClient(tracking_uri=self.uri)
        self._folder, kept = folder, folder / "mlflow.json"
        if kept.exists():
            self._run: str = json.loads(kept.read_text())["run_id"]
            self._client.update_run(self._run, status="RUNNING")
            for kind, name in (("step", "step/loss"), ("epoch", "epoch/val_loss")):
                history = self._client.get_metric_history(self._run, name)
                self._sent[kind] = max((metric.step for metric in history), default=-1)
            return
        found = self._client.get_experiment_by_name(self.experiment)
        number = (
            self._client.create_experiment(self.experiment)
            if found is None
            else found.experiment_id
        )
        self._run = self._client.create_run(number, run_name=str(recipe.get("name"))).info.run_id
        kept.write_text(json.dumps({"run_id": self._run}))
        self._log_params(recipe)

    def _log_params(self, recipe: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(key, str(value)[:6000]) for key, value in _flat(recipe)]
        for first in range(0, len(params), MOST_PARAMS):
            self._client.log_batch(self._run, params=params[first : first + MOST_PARAMS])

    def step(self, place: Place, values: Mapping[str, float]) -> None:
        self._add("step", place.step, values)

    def epoch(self, place: Place, values: Mapping[str, float]) -> None:
        self._add("epoch", place.step, values)
        self.flush()

    def _add(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        if step <= self._sent[kind]:
            return  # of a run that was resumed or rolled back: MLflow takes nothing back
        self._sent[kind] = step
        now = int(1000 * time.time())
        self._waiting += [
            Metric(f"{kind}/{key}", float(value), now, step) for key, value in values.items()
        ]

    def flush(self) -> None:
        while self._waiting:
            self._client.log_batch(self._run, metrics=self._waiting[:MOST_METRICS])
            del self._waiting[:MOST_METRICS]

    def ended(self, result: Mapping[str, Any]) -> None:
        self.flush()
        file = self._folder / "result.json"
        if file.exists():
            self._client.log_artifact(self._run, str(file))
        self._client.set_terminated(self._run, STATUS.get(str(result.get("status")), "FAILED"))


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yields names such as `finetune.stages.0.epochs`, in MLflow's form, with their values."""
    for key, value in values.items():
        name = "".join(c if c.isalnum() or c in "_-. /" else "_" for c in f"{before}{key}")
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            yield from _flat(dict(enumerate(value)), f"{name}.")  # type: ignore[arg-type]
        else:
            yield name[:250], value
