"""Names that people, tools and attackers give to classes, files, folders and runs."""

import os
import pathlib

from tests.conftest import draw

# what a folder may be called; each breaks something that somewhere forgets to quote
NAMES = (
    b"\"quoted' `name`",
    b"comma, semicolon;",
    b"two\nlines\r\nand a tab\t",
    "three\u2028lines\u0085".encode(),
    b"$x_$",
    b"$\\frac{",
    b"<b>bold<script>&amp;",
    b"=1+1",
    b"+1",
    b"-1",
    b"@SUM(A1)",
    b"[red]",
    b"%s %d",
    b"{x} {0}",
    b"back\\slash\\n",
    b"\x1b[31mred\x07",
    b" blank ",
    "\U0001f431 cat".encode(),
    "\u202e\u0642\u0637".encode(),
    "猫 고양이".encode(),
    "①".encode(),
    b"\xff\xfenot utf-8",
    b"x" * 255,
)


def make_nasty_set(folder: pathlib.Path, images: int = 3) -> list[str]:
    """Writes class folders and files of such names; returns the classes as Python has them."""
    place = os.fsencode(folder)
    for kind, name in enumerate(NAMES):
        os.makedirs(os.path.join(place, name))
        for index in range(images):
            other = NAMES[(kind + index) % len(NAMES)][:240]
            picture = draw(kind % 3, 100 * kind + index, size=24)
            with open(os.path.join(place, name, other + b" %d.png" % index), "wb") as file:
                picture.save(file, "png")
    return [os.fsdecode(name) for name in NAMES]
