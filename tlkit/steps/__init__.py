"""The steps of the straight way, each a function from values to values."""

from tlkit.steps.ahead import (
    babysit,
    find_rate,
    profile,
    quick_checks,
    refuse_too_short,
    rehearse,
)
from tlkit.steps.data import describe_data, look_at_data, read_data, settle
from tlkit.steps.evaluate import (
    EVALUATION_BATCH,
    evaluate,
    logits_of,
    missed_requirements,
    save_evaluation,
    tuned,
)
from tlkit.steps.export import export, model_card
from tlkit.steps.network import make_network
from tlkit.steps.plan import describe_changes, describe_stage
from tlkit.steps.result import write_result
from tlkit.steps.speaker import Speaker
from tlkit.steps.start import import_tensorflow, number_format_kept, start_tensorflow
from tlkit.steps.train import feature_seconds, make_training, train

__all__ = [
    "EVALUATION_BATCH",
    "Speaker",
    "babysit",
    "describe_changes",
    "describe_data",
    "describe_stage",
    "evaluate",
    "export",
    "feature_seconds",
    "find_rate",
    "import_tensorflow",
    "logits_of",
    "look_at_data",
    "make_network",
    "make_training",
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
    "train",
    "tuned",
    "write_result",
]
