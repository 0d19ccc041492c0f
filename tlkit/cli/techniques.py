"""`tlkit techniques`."""

from __future__ import annotations

import itertools

import click


@click.command()
@click.argument("name", required=False)
@click.option("--kind", help="List only one kind, such as loss or augmentation.")
def techniques(name: str | None, kind: str | None) -> None:
    """List all techniques, or show one: formula, arguments, recipe, import."""
    from tlkit import catalog
    from tlkit.errors import UserError, did_you_mean

    known = catalog.techniques()
    if name is not None:
        found = catalog.find(name)
        if not found:
            raise UserError(
                f"{name!r} is not a technique. {did_you_mean(name, {t.name for t in known})} "
                "See: tlkit techniques"
            )
        click.echo("\n\n".join(catalog.describe(t) for t in found))
        return
    kinds = list(dict.fromkeys(t.kind for t in known))
    if kind is not None and kind not in kinds:
        raise UserError(f"{kind!r} is not a kind. {did_you_mean(kind, kinds)}")
    shown = [t for t in known if kind in (None, t.kind)]
    width = max(len(t.name) for t in shown)
    for title, group in itertools.groupby(shown, lambda t: t.kind):
        click.secho(catalog.PLURALS.get(title, f"{title}s"), bold=True)
        for t in group:
            click.echo(f"  {t.name:<{width}}  {t.summary}  [{t.source}; {t.key}]")
