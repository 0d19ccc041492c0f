"""`tlkit cache ls | rm | prune`."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tlkit.features.cache import CacheListing

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

folder_option = click.option(
    "--folder",
    help="Cache folder, if a recipe sets its own [TLKIT_CACHE or ~/.cache/tlkit].",
)


class Size(click.ParamType[int]):
    """A size in bytes, such as 500MB or 20G."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", value, re.IGNORECASE)
        if found is None:
            self.fail(f"{value!r} is not a valid size; write it as 500MB or 20GB", param, ctx)
        return round(float(found[1]) * UNITS[found[2].lower()])


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _line(entry: CacheListing) -> str:
    used = datetime.datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
    about = entry.about
    start = f"{entry.key[:12]}  {_size(entry.bytes):>9}  {entry.images:>8}"
    if "archive" in about:
        return f"{start} files   {used}  unpacked from {about['archive']}"
    shapes = " ".join("x".join(map(str, shape)) for shape in about.get("shapes", []))
    return (
        f"{start} images  {used}  "
        f"{about.get('network', '')} {shapes}, {about.get('images', '')}, {about.get('engine', '')}"
    )


@click.group()
def cache() -> None:
    """List and delete cached data: features of frozen networks and unpacked archives."""


@cache.command()
@folder_option
def ls(folder: str | None) -> None:
    """List the cache entries, most recently used first."""
    from tlkit.features.cache import cache_root, entries, unpacked

    root = cache_root(folder)
    found = [*entries(root), *unpacked(root)]
    for entry in found:
        click.echo(_line(entry))
    click.echo(f"{len(found)} entries, {_size(sum(e.bytes for e in found))} in {root.parent}")


@cache.command()
@click.argument("keys", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Delete all entries.")
@folder_option
def rm(keys: tuple[str, ...], everything: bool, folder: str | None) -> None:
    """Delete the entries whose names begin with KEYS; they are recomputed when needed."""
    from tlkit.errors import UserError
    from tlkit.features.cache import cache_root, entries, remove, unpacked

    if not keys and not everything:
        raise click.UsageError("name entries, as listed by `tlkit cache ls`, or pass --all")
    root = cache_root(folder)
    found = [*entries(root), *unpacked(root)]
    for key in keys:
        if not any(entry.key.startswith(key) for entry in found):
            raise UserError(f"no entry {key!r}", hint="See: tlkit cache ls")
    chosen = [e for e in found if everything or any(e.key.startswith(key) for key in keys)]
    for entry in chosen:
        remove(entry)
    click.echo(f"{len(chosen)} entries, {_size(sum(e.bytes for e in chosen))} freed")


@cache.command()
@click.option(
    "--max-size", type=Size(), required=True, help="Maximum size of the cache, such as 20GB."
)
@folder_option
def prune(max_size: int, folder: str | None) -> None:
    """Delete the least recently used entries until the cache fits in --max-size."""
    from tlkit.features import cache as kept

    gone = kept.prune(kept.cache_root(folder), max_size)
    click.echo(f"{len(gone)} entries, {_size(sum(e.bytes for e in gone))} freed")
