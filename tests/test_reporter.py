"""What a person is told where there is no terminal."""

import io

from rich.console import Console

from tlkit import reporter
from tlkit.tasks.classification import Classification
from tlkit.train import progress


def test_a_long_pass_is_told_now_and_then(monkeypatch):
    told, clock = io.StringIO(), iter(range(0, 10_000, 5))
    monkeypatch.setattr(reporter.time, "monotonic", lambda: next(clock))
    show = reporter.Reporter(Console(file=told, soft_wrap=True)).progress("reading images")
    for done in range(1, 101):
        show(done, 100)
    lines = told.getvalue().splitlines()
    assert lines[0] == "  reading images: 2 of 100, 10 s"
    assert 8 < len(lines) < 20  # more seldom the longer it lasts
    assert not any("100 of 100" in line for line in lines)


def test_nothing_is_said_of_a_short_pass_or_to_nobody():
    told = io.StringIO()
    show = reporter.Reporter(Console(file=told)).progress("reading images")
    for done in range(1, 101):
        show(done, 100)
    assert told.getvalue() == ""
    assert reporter.SILENT.progress("reading images") is None


def test_a_long_epoch_is_told_now_and_then(monkeypatch):
    told, clock = io.StringIO(), iter(range(0, 10_000, 20))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    shown = progress.Progress(Console(file=told, soft_wrap=True), Classification.metric)
    shown.set_params({"epochs": 2, "steps": 9})
    shown.on_epoch_begin(0)
    for batch in range(9):
        shown.on_train_batch_end(
            batch, {"images": 8, "loss": 1.0, "accuracy": 0.5, "learning_rate": 0.1}
        )
    lines = told.getvalue().splitlines()
    assert lines[0].split()[:5] == ["1/2", "step", "2", "of", "9"]
    assert "loss 1.0000" in lines[0]
    assert len(lines) == 4
