"""The steps of the standard workflow, each a function from values to values."""

from tlkit.steps.data import describe_data, look_at_data, read_data, settle
from tlkit.steps.diagnostics import (
    SweepRequest,
    babysit,
    find_rate,
    profile,
    quick_checks,
    refuse_too_short,
    rehearse,
)
from tlkit.steps.evaluate import (
    EVALUATION_BATCH,
    Evaluation,
    evaluate,
    logits_of,
    missed_requirements,
    save_evaluation,
)
from tlkit.steps.export import ExportResult, export, model_card
from tlkit.steps.network import make_network
from tlkit.steps.plan import describe_changes, describe_stage
from tlkit.steps.result import RunResult, tell_result, write_result
from tlkit.steps.start import import_tensorflow, number_format_kept, start_tensorflow
from tlkit.steps.train import TrainResult, train

__all__ = [
    "EVALUATION_BATCH",
    "Evaluation",
    "ExportResult",
    "RunResult",
    "SweepRequest",
    "TrainResult",
    "babysit",
    "describe_changes",
    "describe_data",
    "describe_stage",
    "evaluate",
    "export",
    "find_rate",
    "import_tensorflow",
    "logits_of",
    "look_at_data",
    "make_network",
    "missed_requirements",
    "model_card",
    "number_format_kept",
    "profile",
    "quick_checks",
    "read_data",
    "refuse_too_short",
    "rehearse",
    "save_evaluation",
    "settle",
    "start_tensorflow",
    "tell_result",
    "train",
    "write_result",
]
