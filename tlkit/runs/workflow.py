"""The standard workflow from a recipe to an exported model."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tlkit import steps
from tlkit.data.in_memory import InMemoryData, lending, take
from tlkit.errors import RunError, RunFailed, disk_trouble, is_of_a_callback
from tlkit.out_of_memory import out_of_memory_is_told
from tlkit.preflight import check_files
from tlkit.recipe.load import RecipeLike, find_recipe, load_recipe
from tlkit.recipe.schema import Recipe
from tlkit.reporter import Reporter, console_of
from tlkit.runs import folder as run_folder
from tlkit.runs.run import Run, expect_in_memory
from tlkit.train.defaults import completed
from tlkit.train.interrupt import Interrupted, Stops
from tlkit.train.strategy import SingleDevice
from tlkit.train.tracking import tracking

if TYPE_CHECKING:
    import keras

    from tlkit.data.in_memory import InMemory
    from tlkit.finding import Finding
    from tlkit.reporter import Reporting
    from tlkit.train.context import RunContext
    from tlkit.train.lr_find import Sweep


class Clock:
    """Measures the seconds spent in each part of a run."""

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
        """Moves some seconds from one part to another."""
        self.seconds[source] -= seconds
        self.seconds[target] += seconds

    def result(self) -> dict[str, float]:
        total = time.perf_counter() - self.began
        return {name: round(value, 3) for name, value in {**self.seconds, "total": total}.items()}


class RequirementsMissed(RunFailed):
    """The network does not meet the requirements of its recipe."""


@dataclasses.dataclass(frozen=True)
class RunStart:
    """What a new or resumed run starts with.

    Attributes:
        recipe: Recipe, with its defaults filled in.
        folder: Run folder, locked by this process.
        reporter: Reports to the user.
        callbacks: The user's Keras callbacks.
        resumed: Whether to resume from a checkpoint.
        allow_data_change: Continue even if images have changed.
        stops: Delays signals during operations that must not be interrupted.
    """

    recipe: Recipe
    folder: pathlib.Path
    reporter: Reporter
    callbacks: Sequence[keras.callbacks.Callback] = ()
    resumed: bool = False
    allow_data_change: bool = False
    stops: Stops = dataclasses.field(default_factory=Stops)


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
        run_dir: Run folder; `runs/<name>/<time>` by default.
        console: A rich console to report to, or None to be silent; standard output by default.
        callbacks: Keras callbacks, called with the whole network in every stage that has epochs.
        data: Images and labels in memory instead of the recipe's source; see
            `tlkit.data.in_memory.take`.

    Returns:
        The run.

    Raises:
        UserError: if the recipe or the data are invalid.
        Interrupted: on Ctrl-C, after a checkpoint was saved.
    """
    handed = None if data is None else take(data)
    loaded = _read(recipe, overrides, handed)
    with run_folder.new_run_folder(loaded.name, run_dir) as folder:
        file = None if isinstance(recipe, Mapping | Recipe) else find_recipe(recipe)
        if file is None or handed is not None:
            run_folder.write_atomic(folder / "recipe.yaml", run_folder.recipe_yaml(loaded))
        else:
            shutil.copyfile(file, folder / "recipe.yaml")
        resolved = run_folder.recipe_yaml(completed(loaded))
        run_folder.write_atomic(folder / "resolved.yaml", resolved)
        beside = pathlib.Path.cwd() if file is None else file.parent
        run_folder.keep_modules(resolved, beside, folder)
        start = RunStart(completed(loaded), folder, Reporter(console_of(console)), callbacks)
        with _guarded(start, handed):
            return _straight_way(start, handed)


def resume(
    folder: str | os.PathLike[str],
    console: Reporting = "stdout",
    allow_data_change: bool = False,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    data: InMemory | None = None,
) -> Run:
    """Resumes an interrupted run from its last checkpoint.

    Args:
        folder: Run folder.
        console: A rich console to report to, or None to be silent; standard output by default.
        allow_data_change: Continue even if images were added, removed or changed.
        callbacks: As in `finetune`. They start afresh: their state is not saved.
        data: The same images and labels in memory, if the run was given any.

    Raises:
        RunError: if there is nothing to resume, or the data have changed.
    """
    path = run_folder.open_run(folder, "resolved.yaml")
    if (path / "result.json").exists():
        status = run_folder.read_json(path / "result.json").get("status")
        if status in ("done", "below requirement"):
            raise RunError("is finished; there is nothing to continue", where=str(path))
    recipe = load_recipe(path / "resolved.yaml")
    handed = None if data is None else take(data)
    expect_in_memory(recipe, handed, path)
    with run_folder.locked(path):
        start = RunStart(
            completed(recipe),
            path,
            Reporter(console_of(console)),
            callbacks,
            resumed=True,
            allow_data_change=allow_data_change,
        )
        with _guarded(start, handed):
            return _straight_way(start, handed)


def reproduce(
    folder: str | os.PathLike[str],
    run_dir: str | os.PathLike[str] | None = None,
    console: Reporting = "stdout",
    *,
    data: InMemory | None = None,
) -> list[str]:
    """Runs the recipe of a finished run again.

    Args:
        folder: Run folder.
        run_dir: Folder of the new run; `runs/<name>/<time>` by default.
        console: A rich console to report to, or None to be silent; standard output by default.
        data: The same images and labels in memory, if the run was given any.

    Returns:
        The differences, one line each.

    Raises:
        RunError: if the run did not finish.
    """
    from tlkit.runs.compare import same_numbers

    path = run_folder.open_run(folder, "model.keras")
    again = finetune(path / "resolved.yaml", run_dir=run_dir, console=console, data=data)
    return same_numbers(path, again.folder)


def _read(recipe: RecipeLike, overrides: Iterable[str], handed: InMemoryData | None) -> Recipe:
    """Loads a recipe and checks its files; data in memory replace its source."""
    more = [] if handed is None else [handed.override]
    loaded = load_recipe(recipe, [*overrides, *more])
    check_files(loaded)
    return loaded


@contextmanager
def _guarded(start: RunStart, handed: InMemoryData | None) -> Iterator[None]:
    """Records in the run folder how a run ended, and stops it cleanly on Ctrl-C."""
    folder, name = start.folder, start.recipe.name
    with start.stops.listening(), lending(handed), steps.number_format_kept():
        try:
            with out_of_memory_is_told():
                yield
        except RequirementsMissed:
            raise  # recorded in result.json already
        except KeyboardInterrupt:
            _write_status(folder, name, "interrupted")
            raise Interrupted(folder) from None
        except Exception as error:
            told = error
            if isinstance(error, OSError) and not is_of_a_callback(error):
                told = disk_trouble(error, _how_to_go_on(folder))
            _write_status(folder, name, "failed", str(told))
            if told is not error:
                raise told from error
            error.add_note(f"run folder: {folder}")
            raise


def _how_to_go_on(folder: pathlib.Path) -> str:
    """What to do once the disk problem is fixed."""
    if (folder / "checkpoints" / "state.npz").exists():
        return f"Mend that, then: tlkit finetune --resume {folder}"
    return f"Mend that, and start again; the run's folder is {folder}"


def _write_status(folder: pathlib.Path, name: str, status: str, error: str | None = None) -> None:
    """Records in result.json how a run ended, if it can be written."""
    with contextlib.suppress(OSError):  # the run may have ended because of the disk
        run_folder.write_json(
            folder / "result.json", {"status": status, "name": name, "error": error}
        )


def _straight_way(start: RunStart, handed: InMemoryData | None) -> Run:
    """Runs the steps one after another.

    Raises:
        RequirementsMissed: at the end, if the network does not meet the recipe's requirements.
    """
    clock, recipe, reporter = Clock(), start.recipe, start.reporter
    tell = None if reporter.console is None else reporter.line
    with tracking(recipe, start.folder, tell) as trackers:
        with clock.part("import"):
            steps.start_tensorflow(recipe)
            from tlkit.train.context import TimeBudget, make_context
            from tlkit.train.own_callbacks import expect_callbacks

            expect_callbacks(start.callbacks)
        with clock.part("data"):
            dataset = steps.read_data(
                recipe,
                start.folder,
                reporter,
                resumed=start.resumed,
                allow_data_change=start.allow_data_change,
            )
            recipe = steps.settle(recipe, dataset, reporter, start.folder)
            steps.refuse_too_short(recipe, dataset)
        with clock.part("import"):
            strategy = SingleDevice()
            with strategy.scope():
                network = steps.make_network(recipe, dataset, reporter)
            context = dataclasses.replace(
                make_context(recipe, dataset, network, reporter),
                kept_in=start.folder,
                stops=start.stops,
                budget=TimeBudget(recipe.time_budget or "", clock.began),
                callbacks=start.callbacks,
                strategy=strategy,
            )
            steps.rehearse(context)
            sanity = steps.quick_checks(context)
        with clock.part("train"):
            trained = steps.train(context, trackers, start.resumed)
        clock.move(trained.feature_seconds, "train", "features")
        with clock.part("evaluate"):
            evaluation = steps.evaluate(context, trained.val_logits)
        missed = steps.missed_requirements(recipe, evaluation, trained)
        with clock.part("export"):
            exports = [] if missed else steps.export(context, evaluation)
        result = steps.RunResult(trained, evaluation, exports, missed, sanity, clock.result())
        written = steps.write_result(context, result)
        trackers.ended(written)
        steps.tell_result(context, result)
    if missed:
        raise RequirementsMissed(
            f"below what the recipe requires: {'; '.join(missed)}. Nothing was exported.",
            where=str(start.folder),
        )
    return Run(start.folder, written, handed)


def _prepared(recipe: Recipe, reporter: Reporter, calibrate: bool = True) -> RunContext:
    """Prepares the context for the stages of a recipe, without a run folder."""
    recipe = completed(recipe)
    steps.start_tensorflow(recipe)
    from tlkit.train.context import make_context

    dataset = steps.look_at_data(recipe, reporter)
    recipe = steps.settle(recipe, dataset, reporter)
    steps.refuse_too_short(recipe, dataset)
    network = steps.make_network(recipe, dataset, reporter, calibrate)
    context = make_context(recipe, dataset, network, reporter)
    steps.rehearse(context)
    return context


@out_of_memory_is_told()
def show_plan(
    recipe: RecipeLike,
    console: Reporting = "stdout",
    profile: bool = False,
    whole: bool = False,
    *,
    data: InMemory | None = None,
) -> None:
    """Reports what a recipe would do, without doing it; with `profile`, how long it takes.

    Args:
        recipe: As in `finetune`.
        console: A rich console to report to; standard output by default.
        profile: Measure where the time would go.
        whole: Show a line for every block of the network.
        data: Images and labels in memory instead of the recipe's source.

    Raises:
        UserError: if the recipe or the data are invalid.
    """
    handed, reporter = None if data is None else take(data), Reporter(console_of(console))
    with lending(handed), steps.number_format_kept():
        context = _prepared(_read(recipe, (), handed), reporter, calibrate=False)
        from tlkit.train.plans import stage_plans

        for line in steps.describe_changes(context.recipe):
            reporter.line(line)
        for planned in stage_plans(context.recipe, context.network):
            for line in steps.describe_stage(context, planned, whole):
                reporter.line(line)
        if profile:
            steps.profile(context)


@out_of_memory_is_told()
def check_recipe(
    recipe: RecipeLike, console: Reporting = "stdout", *, data: InMemory | None = None
) -> list[Finding]:
    """Checks in about a minute whether a recipe trains at all, and reports problems.

    Args:
        recipe: As in `finetune`.
        console: A rich console to report to, or None to be silent; standard output by default.
        data: Images and labels in memory instead of the recipe's source.

    Returns:
        The problems.

    Raises:
        UserError: if the recipe or the data are invalid.
    """
    handed, reporter = None if data is None else take(data), Reporter(console_of(console))
    with lending(handed), steps.number_format_kept():
        problems = steps.babysit(_prepared(_read(recipe, (), handed), reporter))
    if not problems:
        reporter.line("no problem was found", style="bold")
    return problems


@out_of_memory_is_told()
def find_learning_rate(
    recipe: RecipeLike,
    number: int | None = None,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps_wanted: int = 100,
    target: str | os.PathLike[str] = "lr-find.png",
    console: Reporting = "stdout",
    data: InMemory | None = None,
) -> Sweep:
    """Sweeps over learning rates for a stage, plots the curve, and prints the setting to use.

    Args:
        recipe: As in `finetune`.
        number: Index of the stage, from 0; by default, the first that trains by gradient.
        low: First rate.
        high: Last rate.
        steps_wanted: Number of steps of the sweep.
        target: PNG file to write.
        console: A rich console to report to, or None to be silent; standard output by default.
        data: Images and labels in memory instead of the recipe's source.

    Returns:
        The sweep, whose `valley` is the suggested rate.

    Raises:
        UserError: if the recipe or the data are invalid.
        RunFailed: if the loss is not finite from the start.
    """
    from tlkit.report.plots import plot_sweep

    file = pathlib.Path(target)
    run_folder.try_to_write(file.parent)
    handed, reporter = None if data is None else take(data), Reporter(console_of(console))
    wanted = steps.SweepRequest(number, low, high, steps_wanted)
    with lending(handed), steps.number_format_kept():
        place, found = steps.find_rate(_prepared(_read(recipe, (), handed), reporter), wanted)
    plot_sweep(found, file)
    reporter.line("\n     rate     loss  smoothed")
    for index in range(0, len(found.rates), max(1, len(found.rates) // 16)):
        reporter.line(
            f"{found.rates[index]:9.1e} {found.losses[index]:8.4f} {found.smoothed[index]:9.4f}"
        )
    key, _, name = place.partition(": ")
    reporter.line(f"\nsteepest {found.steepest:.1e}, valley {found.valley:.1e}; drawn in {file}")
    reporter.line(f"{key}: {{{name}: {{learning_rate: {found.valley:.1e}}}}}", style="bold")
    return found
