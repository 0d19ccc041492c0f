"""The straight way from a recipe to an exported model."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tlkit import run as runs
from tlkit.errors import RunError, RunFailed, disk_trouble
from tlkit.out_of_memory import out_of_memory_is_told
from tlkit.preflight import check_files
from tlkit.recipe.load import find_recipe, load_recipe
from tlkit.recipe.schema import Recipe
from tlkit.train.defaults import completed
from tlkit.train.interrupt import Interrupted, Stops
from tlkit.train.tracking import Trackers, tracking


@dataclasses.dataclass
class Run:
    """A finished run.

    Attributes:
        folder: Where everything lies.
        result: What result.json says.
    """

    folder: pathlib.Path
    result: dict[str, Any]


class Clock:
    """Seconds by part of the run."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.seconds = dict.fromkeys(
            ("import", "data", "features", "train", "evaluate", "export"), 0.0
        )

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start

    def move(self, seconds: float, source: str, target: str) -> None:
        """Counts some seconds of one part to another."""
        self.seconds[source] -= seconds
        self.seconds[target] += seconds

    def result(self) -> dict[str, float]:
        total = time.perf_counter() - self.began
        return {name: round(value, 3) for name, value in {**self.seconds, "total": total}.items()}


def finetune(
    recipe: str | pathlib.Path | dict[str, Any],
    overrides: Iterable[str] = (),
    run_dir: str | pathlib.Path | None = None,
    console: Any = None,
) -> Run:
    """Runs a recipe from photos to an exported model.

    Args:
        recipe: A YAML file, the name of a packaged recipe, or a mapping.
        overrides: `a.b=c` strings.
        run_dir: Folder of the run; `runs/<name>/<time>` by default.
        console: A rich console to report to; silent if not given.

    Returns:
        The run.

    Raises:
        UserError: if recipe or data are wrong.
        Interrupted: on Ctrl-C, with the state saved.
    """
    loaded = load_recipe(recipe, overrides)
    check_files(loaded)
    with runs.new_run_folder(loaded.name, run_dir) as folder:
        if isinstance(recipe, dict):
            runs.write_atomic(folder / "recipe.yaml", runs.recipe_yaml(loaded))
        else:
            shutil.copyfile(find_recipe(recipe), folder / "recipe.yaml")
        resolved = runs.recipe_yaml(completed(loaded))
        runs.write_atomic(folder / "resolved.yaml", resolved)
        beside = pathlib.Path.cwd() if isinstance(recipe, dict) else find_recipe(recipe).parent
        runs.keep_modules(resolved, beside, folder)
        return _guarded(loaded, folder, console)


def resume(folder: str | pathlib.Path, console: Any = None, allow_data_change: bool = False) -> Run:
    """Continues an interrupted run where its state was saved.

    Args:
        folder: Of the run.
        console: A rich console to report to; silent if not given.
        allow_data_change: Go on where images were added, removed or changed since.

    Raises:
        RunError: if there is nothing to continue, or the data have changed.
    """
    path = runs.open_run(folder, "resolved.yaml")
    if (path / "result.json").exists():
        status = runs.read_json(path / "result.json").get("status")
        if status in ("done", "below requirement"):
            raise RunError("is finished; there is nothing to continue", where=str(path))
    recipe = load_recipe(path / "resolved.yaml")
    with runs.locked(path):
        return _guarded(recipe, path, console, True, allow_data_change)


def reproduce(
    folder: str | pathlib.Path, run_dir: str | pathlib.Path | None = None, console: Any = None
) -> list[str]:
    """Runs the recipe of a finished run again.

    Args:
        folder: Of the run.
        run_dir: Folder of the new run; `runs/<name>/<time>` by default.
        console: A rich console to report to; silent if not given.

    Returns:
        What differs, a line each.

    Raises:
        RunError: if the run did not come to its end.
    """
    from tlkit.compare import same_numbers

    path = runs.open_run(folder, "model.keras")
    again = finetune(path / "resolved.yaml", run_dir=run_dir, console=console)
    return same_numbers(path, again.folder)


def _guarded(
    recipe: Recipe,
    folder: pathlib.Path,
    console: Any,
    resumed: bool = False,
    allow_data_change: bool = False,
) -> Run:
    """The straight way in a folder that this process holds, stopped cleanly by Ctrl-C."""
    from tlkit.steps import Speaker

    stops, recipe = Stops(), completed(recipe)
    say = None if console is None else Speaker(console).line
    with stops.listening():
        try:
            with out_of_memory_is_told(), tracking(recipe, folder, say) as trackers:
                run = _straight_way(
                    recipe, folder, console, resumed, allow_data_change, stops, trackers
                )
        except KeyboardInterrupt:
            _write_status(folder, recipe.name, "interrupted")
            raise Interrupted(folder) from None
        except OSError as error:
            trouble = disk_trouble(error, _how_to_go_on(folder))
            _write_status(folder, recipe.name, "failed", str(trouble))
            raise trouble from error
        except Exception as error:
            _write_status(folder, recipe.name, "failed", str(error))
            error.add_note(f"run folder: {folder}")
            raise
    if run.result["missed"]:
        raise RunFailed(
            f"below what the recipe requires: {'; '.join(run.result['missed'])}. Nothing was exported.",
            where=str(folder),
        )
    return run


def _how_to_go_on(folder: pathlib.Path) -> str:
    """What to do once the disk is well again."""
    if (folder / "checkpoints" / "state.npz").exists():
        return f"Mend that, then: tlkit finetune --resume {folder}"
    return f"Mend that, and start again; the run's folder is {folder}"


def _write_status(folder: pathlib.Path, name: str, status: str, error: str | None = None) -> None:
    """Says in result.json how a run ended, where that can be written at all."""
    with contextlib.suppress(OSError):  # what ended the run may be the disk itself
        runs.write_json(folder / "result.json", {"status": status, "name": name, "error": error})


def _straight_way(
    recipe: Recipe,
    folder: pathlib.Path,
    console: Any,
    resumed: bool,
    allow_data_change: bool,
    stops: Stops,
    trackers: Trackers,
) -> Run:
    from tlkit import steps

    clock = Clock()
    say = steps.Speaker(console)
    with clock.part("import"):
        steps.start_tensorflow(recipe)
        from tlkit.model import served_network
    with clock.part("data"):
        dataset = steps.read_data(recipe, folder, say, resumed, allow_data_change)
        steps.refuse_too_short(recipe, dataset)
    with clock.part("import"):
        network = steps.make_network(recipe, dataset, say)
        steps.rehearse(recipe, dataset, network, say)
        sanity = steps.quick_checks(dataset, network, recipe.seed, say)
    with clock.part("train"):
        stages, val_logits = steps.train(
            recipe, dataset, network, folder, say, resumed, stops, clock.began, trackers
        )
    clock.move(steps.feature_seconds(stages), "train", "features")
    with clock.part("evaluate"):
        trained, network = network, served_network(network)
        if network is not trained:
            val_logits = None  # those are of another network
        split, logits, evaluation = steps.evaluate(dataset, network, val_logits, folder, say)
    missed = steps.missed_requirements(
        recipe, network.task, split, evaluation, stages[-1]["metrics"] if stages else {}
    )
    with clock.part("export"):
        exports = (
            {}
            if missed
            else steps.export(recipe, dataset, network, split, logits, evaluation, folder, say)
        )
    result = steps.write_result(
        recipe,
        dataset,
        network,
        stages,
        split,
        evaluation,
        exports,
        clock.result(),
        missed,
        sanity,
        folder,
    )
    trackers.ended(result)
    say.end(folder, result, network.task.summary(evaluation))
    return Run(folder, result)


def _loaded(recipe: Recipe, console: Any, calibrate: bool = True) -> tuple[Recipe, Any, Any, Any]:
    """The recipe with its defaults, its data and network, and who tells a person."""
    from tlkit import steps

    recipe = completed(recipe)
    say = steps.Speaker(console)
    steps.start_tensorflow(recipe)
    dataset = steps.look_at_data(recipe, say)
    steps.refuse_too_short(recipe, dataset)
    network = steps.make_network(recipe, dataset, say, calibrate)
    steps.rehearse(recipe, dataset, network, say)
    return recipe, dataset, network, say


@out_of_memory_is_told()
def show_plan(recipe: Recipe, console: Any, profile: bool = False, whole: bool = False) -> None:
    """Says what a recipe would do, without doing it; measures how long if `profile`.

    Args:
        recipe: As it was loaded.
        console: Where to report to.
        profile: Measure where the time would go.
        whole: A line for every block of the network.

    Raises:
        UserError: if recipe or data are wrong.
    """
    from tlkit import steps

    recipe, dataset, network, say = _loaded(recipe, console, calibrate=False)
    from tlkit.train.plans import stage_plans

    for line in steps.describe_changes(recipe):
        say.line(line)
    for index, (stage, plan) in enumerate(stage_plans(recipe, network)):
        for line in steps.describe_stage(index, stage, plan, network, recipe, dataset, whole):
            say.line(line)
    if profile:
        steps.profile(recipe, dataset, network, say)


@out_of_memory_is_told()
def check_recipe(recipe: Recipe, console: Any) -> list[Any]:
    """Checks whether a recipe trains at all, in a minute or so, and says what is wrong.

    Returns:
        The problems, each a `tlkit.train.babysit.Problem`.

    Raises:
        UserError: if recipe or data are wrong.
    """
    from tlkit import steps

    recipe, dataset, network, say = _loaded(recipe, console)
    problems = steps.babysit(recipe, dataset, network, say)
    if not problems:
        say.line("no problem was found", style="bold")
    return problems


@out_of_memory_is_told()
def find_learning_rate(
    recipe: Recipe,
    number: int | None,
    low: float,
    high: float,
    steps_wanted: int,
    target: pathlib.Path,
    console: Any,
) -> Any:
    """Sweeps over learning rates for a stage of a recipe, draws the curve and says what to paste.

    Args:
        recipe: As it was loaded.
        number: Of the stage, from 0; the first that trains by gradient if not given.
        low: First rate.
        high: Last rate.
        steps_wanted: Of the sweep.
        target: PNG file to write.
        console: Where to report to.

    Returns:
        The sweep, a `tlkit.train.lr_find.Sweep`.

    Raises:
        UserError: if recipe or data are wrong.
        RunFailed: if the loss is no number from the start on.
    """
    from tlkit import steps
    from tlkit.report.plots import plot_sweep

    runs.try_to_write(target.parent)
    recipe, dataset, network, say = _loaded(recipe, console)
    place, found = steps.find_rate(recipe, dataset, network, number, low, high, steps_wanted, say)
    plot_sweep(found, target)
    say.line("\n     rate     loss  smoothed")
    for index in range(0, len(found.rates), max(1, len(found.rates) // 16)):
        say.line(
            f"{found.rates[index]:9.1e} {found.losses[index]:8.4f} {found.smoothed[index]:9.4f}"
        )
    key, _, name = place.partition(": ")
    say.line(f"\nsteepest {found.steepest:.1e}, valley {found.valley:.1e}; drawn in {target}")
    say.line(f"{key}: {{{name}: {{learning_rate: {found.valley:.1e}}}}}", style="bold")
    return found
