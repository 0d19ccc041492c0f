"""`tlkit`: the command group, and how its errors are displayed."""

from __future__ import annotations

import faulthandler
import io
import logging
import os
import sys
import warnings
from typing import Any, ClassVar, NoReturn

import click

from tlkit import __version__
from tlkit.cli.babysit import babysit
from tlkit.cli.backbones import backbones
from tlkit.cli.cache import cache
from tlkit.cli.check import check
from tlkit.cli.compare import compare
from tlkit.cli.evaluate import evaluate
from tlkit.cli.export import export
from tlkit.cli.finetune import finetune
from tlkit.cli.init import init
from tlkit.cli.lr_find import lr_find
from tlkit.cli.plan import plan
from tlkit.cli.predict import predict
from tlkit.cli.rank import rank
from tlkit.cli.recipes import cp, ls, recipes
from tlkit.cli.report import report
from tlkit.cli.reproduce import reproduce
from tlkit.cli.schema import schema
from tlkit.cli.serve import serve
from tlkit.cli.techniques import techniques
from tlkit.cli.validate import validate
from tlkit.errors import RecipeError, UserError, disk_trouble
from tlkit.out_of_memory import is_out_of_memory, memory_trouble
from tlkit.text import printable


class Commands(click.Group):
    """A group that accepts command names of other tools and suggests similar commands."""

    aliases: ClassVar = {
        "train": "finetune",
        "run": "finetune",
        "val": "evaluate",
        "test": "evaluate",
    }

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return super().get_command(ctx, self.aliases.get(name, name))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, ...]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from tlkit.errors import did_you_mean

            raise click.UsageError(
                f"no command {args[0]!r}. {did_you_mean(args[0], self.list_commands(ctx))}", ctx
            )
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tlkit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Fine-tune a pretrained network on your images, from one recipe.

    \b
    tlkit init PHOTOS            write a recipe for a folder of class folders
    tlkit finetune recipe.yaml   train, evaluate, report, export
    tlkit predict RUN PHOTOS     label new images
    tlkit serve RUN              serve it over HTTP
    """
    ctx.obj = {"debug": debug}


for command in (
    finetune,
    validate,
    plan,
    init,
    check,
    babysit,
    lr_find,
    recipes,
    backbones,
    rank,
    techniques,
    evaluate,
    predict,
    report,
    compare,
    reproduce,
    export,
    serve,
    cache,
    schema,
):
    cli.add_command(command)
for command in (ls, cp):
    cli.add_command(command)


def _speak_alone(debug: bool) -> None:
    """Silences log output of libraries, and escapes text that the terminal cannot encode."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else the output is captured
            stream.reconfigure(errors="backslashreplace")
    if not debug:
        _leave_nowhere_to_libraries()
    if not debug and not sys.warnoptions:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)


def _leave_nowhere_to_libraries() -> None:
    """Reserves stderr for Python.

    C libraries write to it in the middle of our own lines, and Python cannot catch that: libjpeg,
    for example, does so for every damaged image. `faulthandler` reports fatal errors.
    """
    if not isinstance(sys.stderr, io.TextIOWrapper) or sys.stderr.fileno() != 2:
        return  # the output is captured, or this was done already
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = os.fdopen(kept, "w", 1, sys.stderr.encoding, "backslashreplace")
    faulthandler.enable(sys.stderr)


def main() -> None:
    """Runs the command line; invalid input ends with exit code 2 and without a traceback."""
    debug = "--debug" in sys.argv[1:]
    _speak_alone(debug)
    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except UserError as error:
        if debug:
            raise
        lines = error.problems if isinstance(error, RecipeError) else [error]
        for line in lines:
            click.secho(printable(f"error: {line}"), fg="red", err=True)
        if len(lines) > 1:
            click.secho(f"{len(lines)} problems", fg="red", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.secho("stopped", fg="yellow", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if debug:
            raise
        _end(disk_trouble(error))
    except Exception as error:
        if debug or not is_out_of_memory(error):
            raise
        _end(memory_trouble(error))


def _end(error: UserError) -> NoReturn:
    """Prints an error and ends the process with its exit code."""
    click.secho(printable(f"error: {error}"), fg="red", err=True)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
