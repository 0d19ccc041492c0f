"""Parts shared by all pages: style, tables, embedded images."""

from __future__ import annotations

import base64
import html
import io
import pathlib
from collections.abc import Sequence
from typing import Any

STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --soft: #57606a; --line: #d0d7de; --page: #fff;
        --box: #f6f8fa; --note: #fff8c5; --blue: #2166ac; --bad: #b42318; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --soft: #9198a1; --line: #3d444d; --page: #0d1117; --box: #161b22;
          --note: #2d2a16; --blue: #6cb2f5; --bad: #ff7b72; }
  img.plot { background: #fff; border-radius: .5rem; }
}
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
       max-width: 64rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
.sub, .soft { color: var(--soft); } .sub { margin: 0 0 1.5rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; }
.tile { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem; min-width: 8rem; }
.tile b { display: block; font-size: 1.5rem; } .tile span { color: var(--soft); font-size: .85rem; }
table { border-collapse: collapse; } th, td { padding: .25rem .8rem; text-align: right;
       border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 600; }
table.words td { text-align: left; vertical-align: top; } table.words th { text-align: left; }
td, th, li, figcaption, figcaption b, h1 { unicode-bidi: isolate; }
.confusion td { text-align: center; padding: .15rem .4rem; border: 1px solid var(--line); min-width: 2rem;
       background: rgb(33 102 172 / var(--share)); }
.confusion td.most { color: #fff; } .confusion th { font-weight: 400; max-width: 14rem; overflow-wrap: anywhere; }
.confusion tr:first-child th { height: 9rem; vertical-align: bottom; padding: .2rem; }
.confusion tr:first-child span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 9rem;
       overflow: hidden; display: inline-block; text-overflow: ellipsis; white-space: nowrap; }
.scroll { overflow-x: auto; } img { max-width: 100%; height: auto; }
pre { background: var(--box); padding: 1rem; border-radius: .5rem; overflow-x: auto; font-size: .85rem; }
.note { background: var(--note); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; }
.bad { color: var(--bad); font-weight: 600; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .8rem; }
figure { margin: 0; font-size: .8rem; line-height: 1.3; } figure img { width: 100%; border-radius: .3rem; display: block; }
.wide { grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); }
figure .pair { display: flex; gap: 2px; } figure .pair img { width: 50%; }
figcaption { color: var(--soft); margin-top: .2rem; } figcaption b { color: var(--text); }
@media print { body { max-width: none; margin: 0; font-size: 11px; } h2 { break-after: avoid; }
  figure, tr, .tile { break-inside: avoid; } pre { white-space: pre-wrap; } .scroll { overflow: visible; } }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """A complete page that needs no other file and no network."""
    return (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{html.escape(title)}</title>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<style>{STYLE}</style></head><body>" + "\n".join(parts) + "</body></html>"
    )


def tiles(values: Sequence[tuple[str, str]]) -> str:
    """Metrics side by side, as value and description."""
    boxes = "".join(
        f"<div class=tile><b>{html.escape(value)}</b><span>{html.escape(title)}</span></div>"
        for value, title in values
    )
    return f"<div class=tiles>{boxes}</div>"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], words: bool = False) -> str:
    """A table; columns after the first hold numbers, or text if `words` is set."""
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>"
        for row in rows
    )
    kind = " class=words" if words else ""
    return f"<div class=scroll><table{kind}><tr>{titles}</tr>{body}</table></div>"


def listed(items: Sequence[str]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"


def plot(path: pathlib.Path, title: str) -> str:
    """A PNG file, embedded in the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f"<div class=scroll><img class=plot alt='{html.escape(title)}' "
        f"src='data:image/png;base64,{data}'></div>"
    )


def photo(image: Any, name: str) -> str:
    """A uint8 image `(height, width, 3)`, embedded in the page as JPEG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=82)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='{html.escape(name, quote=True)}' src='data:image/jpeg;base64,{data}'>"


def figure(images: Sequence[Any], caption: str, name: str) -> str:
    """One or two images side by side with a caption, which may contain HTML."""
    shown = "".join(photo(image, name) for image in images)
    inside = f"<div class=pair>{shown}</div>" if len(images) > 1 else shown
    return f"<figure>{inside}<figcaption>{caption}</figcaption></figure>"
