"""Steps are taken, and variables made, through the strategy."""

import contextlib

import tlkit
from tlkit import steps
from tlkit.train import (
    rehearsal,  # noqa: F401 - imported first: the optimizer that it tries, and never builds, is not noted
    stage_setup,
)
from tlkit.train.strategy import SingleDevice


def test_every_step_and_variable_of_a_run_goes_through_it(recipe, tmp_path, monkeypatch):
    taken, inside, made = [], [], []
    run = SingleDevice.run

    def counted(self, step, images, labels):
        taken.append(len(labels))
        return run(self, step, images, labels)

    @contextlib.contextmanager
    def scope(self):
        inside.append(self)
        yield
        inside.pop()

    def noted(where, name):
        whole = getattr(where, name)

        def call(*given):
            made.append((name, bool(inside)))
            return whole(*given)

        monkeypatch.setattr(where, name, call)

    monkeypatch.setattr(SingleDevice, "run", counted)
    monkeypatch.setattr(SingleDevice, "scope", scope)
    noted(steps, "make_network")
    noted(stage_setup, "make_optimizer")
    recipe["finetune"]["stages"][0]["epochs"] = 2
    tlkit.finetune(recipe, run_dir=tmp_path / "run")
    assert taken == 2 * [8, 8, 8, 8, 8, 8, 1]
    assert made == [("make_network", True), ("make_optimizer", True)]
