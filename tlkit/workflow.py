"""The straight way from a recipe to an exported model."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tlkit import run as runs
from tlkit.data.in_memory import Handed, lending, take
from tlkit.errors import RunError, RunFailed, disk_trouble, is_of_a_callback
from tlkit.finished import Run, expect_in_memory
from tlkit.out_of_memory import out_of_memory_is_told
from tlkit.preflight import check_files
from tlkit.recipe.load import RecipeLike, find_recipe, load_recipe
from tlkit.recipe.schema import Recipe
from tlkit.reporting import console_of
from tlkit.train.defaults import completed
from tlkit.train.interrupt import Interrupted, Stops
from tlkit.train.tracking import Trackers, tracking

if TYPE_CHECKING:
    import keras

    from tlkit.data.in_memory import InMemory
    from tlkit.finding import Finding
    from tlkit.reporting import Reporting
    from tlkit.train.lr_find import Sweep


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
    recipe: RecipeLike,
    overrides: Iterable[str] = (),
    run_dir: str | os.PathLike[str] | None = None,
    console: Reporting = "stdout",
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    data: InMemory | None = None,
) -> Run:
    """Runs a recipe from photos to an exported model.

    Args:
        recipe: A YAML file, the name of a packaged recipe, a mapping, or a `tlkit.Recipe`.
        overrides: `a.b=c` strings.
        run_dir: Folder of the run; `runs/<name>/<time>` by default.
        console: A rich console to report to, or None to be silent; standard output by default.
        callbacks: Keras callbacks, called in every stage that takes epochs, with the whole network.
        data: Images and labels in memory in the place of the recipe's source; see
            `tlkit.data.in_memory.take`.

    Returns:
        The run.

    Raises:
        UserError: if recipe or data are wrong.
        Interrupted: on Ctrl-C, with the state saved.
    """
    handed = None if data is None else take(data)
    loaded = _read(recipe, overrides, handed)
    with runs.new_run_folder(loaded.name, run_dir) as folder:
        file = None if isinstance(recipe, Mapping | Recipe) else find_recipe(recipe)
        if file is None or handed is not None:
            runs.write_atomic(folder / "recipe.yaml", runs.recipe_yaml(loaded))
        else:
            shutil.copyfile(file, folder / "recipe.yaml")
        resolved = runs.recipe_yaml(completed(loaded))
        runs.write_atomic(folder / "resolved.yaml", resolved)
        beside = pathlib.Path.cwd() if file is None else file.parent
        runs.keep_modules(resolved, beside, folder)
        return _guarded(loaded, folder, console_of(console), False, False, callbacks, handed)


def resume(
    folder: str | os.PathLike[str],
    console: Reporting = "stdout",
    allow_data_change: bool = False,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    data: InMemory | None = None,
) -> Run:
    """Continues an interrupted run where its state was saved.

    Args:
        folder: Of the run.
        console: A rich console to report to, or None to be silent; standard output by default.
        allow_data_change: Go on where images were added, removed or changed since.
        callbacks: As `finetune` takes them. They begin anew: what they remembered is not saved.
        data: The same images and labels in memory, where the run was given such.

    Raises:
        RunError: if there is nothing to continue, or the data have changed.
    """
    path = runs.open_run(folder, "resolved.yaml")
    if (path / "result.json").exists():
        status = runs.read_json(path / "result.json").get("status")
        if status in ("done", "below requirement"):
            raise RunError("is finished; there is nothing to continue", where=str(path))
    recipe = load_recipe(path / "resolved.yaml")
    handed = None if data is None else take(data)
    expect_in_memory(recipe, handed, path)
    with runs.locked(path):
        return _guarded(
            recipe, path, console_of(console), True, allow_data_change, callbacks, handed
        )


def reproduce(
    folder: str | os.PathLike[str],
    run_dir: str | os.PathLike[str] | None = None,
    console: Reporting = "stdout",
    *,
    data: InMemory | None = None,
) -> list[str]:
    """Runs the recipe of a finished run again.

    Args:
        folder: Of the run.
        run_dir: Folder of the new run; `runs/<name>/<time>` by default.
        console: A rich console to report to, or None to be silent; standard output by default.
        data: The same images and labels in memory, where the run was given such.

    Returns:
        What differs, a line each.

    Raises:
        RunError: if the run did not come to its end.
    """
    from tlkit.compare import same_numbers

    path = runs.open_run(folder, "model.keras")
    again = finetune(path / "resolved.yaml", run_dir=run_dir, console=console, data=data)
    return same_numbers(path, again.folder)


def _read(recipe: RecipeLike, overrides: Iterable[str], handed: Handed | None) -> Recipe:
    """A recipe whose files are there, with what was handed over as its source."""
    more = [] if handed is None else [handed.override]
    loaded = load_recipe(recipe, [*overrides, *more])
    check_files(loaded)
    return loaded


def _guarded(
    recipe: Recipe,
    folder: pathlib.Path,
    console: Any,
    resumed: bool = False,
    allow_data_change: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    handed: Handed | None = None,
) -> Run:
    """The straight way in a folder that this process holds, stopped cleanly by Ctrl-C."""
    from tlkit import steps

    stops, recipe = Stops(), completed(recipe)
    say = None if console is None else steps.Speaker(console).line
    with stops.listening(), lending(handed), steps.number_format_kept():
        try:
            with out_of_memory_is_told(), tracking(recipe, folder, say) as trackers:
                result = _straight_way(
                    recipe, folder, console, resumed, allow_data_change, stops, trackers, callbacks
                )
        except KeyboardInterrupt:
            _write_status(folder, recipe.name, "interrupted")
            raise Interrupted(folder) from None
        except Exception as error:
            told = error
            if isinstance(error, OSError) and not is_of_a_callback(error):
                told = disk_trouble(error, _how_to_go_on(folder))
            _write_status(folder, recipe.name, "failed", str(told))
            if told is not error:
                raise told from error
            error.add_note(f"run folder: {folder}")
            raise
    if result["missed"]:
        raise RunFailed(
            f"below what the recipe requires: {'; '.join(result['missed'])}. Nothing was exported.",
            where=str(folder),
        )
    return Run(folder, result, handed)


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
    callbacks: Sequence[keras.callbacks.Callback],
) -> dict[str, Any]:
    """The steps one after another; gives what result.json says."""
    from tlkit import steps

    clock = Clock()
    say = steps.Speaker(console)
    with clock.part("import"):
        steps.start_tensorflow(recipe)
        from tlkit.model import served_network
        from tlkit.train.own_callbacks import expect_callbacks

        expect_callbacks(callbacks)
    with clock.part("data"):
        dataset = steps.read_data(recipe, folder, say, resumed, allow_data_change)
        recipe = steps.settle(recipe, dataset, say, folder)
        steps.refuse_too_short(recipe, dataset)
    with clock.part("import"):
        network = steps.make_network(recipe, dataset, say)
        steps.rehearse(recipe, dataset, network, say)
        sanity = steps.quick_checks(dataset, network, recipe.seed, say)
    with clock.part("train"):
        stages, val_logits = steps.train(
            recipe, dataset, network, folder, say, resumed, stops, clock.began, trackers, callbacks
        )
    clock.move(steps.feature_seconds(stages), "train", "features")
    with clock.part("evaluate"):
        trained, network = network, served_network(network)
        if network is not trained:
            val_logits = None  # those are of another network
        network, val_logits = steps.tuned(dataset, network, val_logits, folder, say)
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
    return result


def _loaded(recipe: Recipe, console: Any, calibrate: bool = True) -> tuple[Recipe, Any, Any, Any]:
    """The recipe with its defaults, its data and network, and who tells a person."""
    from tlkit import steps

    recipe = completed(recipe)
    say = steps.Speaker(console)
    steps.start_tensorflow(recipe)
    dataset = steps.look_at_data(recipe, say)
    recipe = steps.settle(recipe, dataset, say)
    steps.refuse_too_short(recipe, dataset)
    network = steps.make_network(recipe, dataset, say, calibrate)
    steps.rehearse(recipe, dataset, network, say)
    return recipe, dataset, network, say


@out_of_memory_is_told()
def show_plan(
    recipe: RecipeLike,
    console: Reporting = "stdout",
    profile: bool = False,
    whole: bool = False,
    *,
    data: InMemory | None = None,
) -> None:
    """Says what a recipe would do, without doing it; measures how long if `profile`.

    Args:
        recipe: As `finetune` takes it.
        console: A rich console to report to; standard output by default.
        profile: Measure where the time would go.
        whole: A line for every block of the network.
        data: Images and labels in memory in the place of the recipe's source.

    Raises:
        UserError: if recipe or data are wrong.
    """
    from tlkit import steps

    handed = None if data is None else take(data)
    with lending(handed), steps.number_format_kept():
        loaded, dataset, network, say = _loaded(
            _read(recipe, (), handed), console_of(console), calibrate=False
        )
        from tlkit.train.plans import stage_plans

        for line in steps.describe_changes(loaded):
            say.line(line)
        for index, (stage, plan) in enumerate(stage_plans(loaded, network)):
            for line in steps.describe_stage(index, stage, plan, network, loaded, dataset, whole):
                say.line(line)
        if profile:
            steps.profile(loaded, dataset, network, say)


@out_of_memory_is_told()
def check_recipe(
    recipe: RecipeLike, console: Reporting = "stdout", *, data: InMemory | None = None
) -> list[Finding]:
    """Checks whether a recipe trains at all, in a minute or so, and says what is wrong.

    Args:
        recipe: As `finetune` takes it.
        console: A rich console to report to, or None to be silent; standard output by default.
        data: Images and labels in memory in the place of the recipe's source.

    Returns:
        The problems.

    Raises:
        UserError: if recipe or data are wrong.
    """
    from tlkit import steps

    handed = None if data is None else take(data)
    with lending(handed), steps.number_format_kept():
        loaded, dataset, network, say = _loaded(_read(recipe, (), handed), console_of(console))
        problems: list[Finding] = steps.babysit(loaded, dataset, network, say)
    if not problems:
        say.line("no problem was found", style="bold")
    return problems


@out_of_memory_is_told()
def find_learning_rate(
    recipe: RecipeLike,
    number: int | None = None,
    low: float = 1e-6,
    high: float = 1.0,
    steps_wanted: int = 100,
    target: str | os.PathLike[str] = "lr-find.png",
    console: Reporting = "stdout",
    *,
    data: InMemory | None = None,
) -> Sweep:
    """Sweeps over learning rates for a stage of a recipe, draws the curve and says what to paste.

    Args:
        recipe: As `finetune` takes it.
        number: Of the stage, from 0; the first that trains by gradient if not given.
        low: First rate.
        high: Last rate.
        steps_wanted: Of the sweep.
        target: PNG file to write.
        console: A rich console to report to, or None to be silent; standard output by default.
        data: Images and labels in memory in the place of the recipe's source.

    Returns:
        The sweep, whose `valley` is the rate to take.

    Raises:
        UserError: if recipe or data are wrong.
        RunFailed: if the loss is no number from the start on.
    """
    from tlkit import steps
    from tlkit.report.plots import plot_sweep

    file = pathlib.Path(target)
    runs.try_to_write(file.parent)
    handed = None if data is None else take(data)
    with lending(handed), steps.number_format_kept():
        loaded, dataset, network, say = _loaded(_read(recipe, (), handed), console_of(console))
        place, found = steps.find_rate(
            loaded, dataset, network, number, low, high, steps_wanted, say
        )
    plot_sweep(found, file)
    say.line("\n     rate     loss  smoothed")
    for index in range(0, len(found.rates), max(1, len(found.rates) // 16)):
        say.line(
            f"{found.rates[index]:9.1e} {found.losses[index]:8.4f} {found.smoothed[index]:9.4f}"
        )
    key, _, name = place.partition(": ")
    say.line(f"\nsteepest {found.steepest:.1e}, valley {found.valley:.1e}; drawn in {file}")
    say.line(f"{key}: {{{name}: {{learning_rate: {found.valley:.1e}}}}}", style="bold")
    return found
