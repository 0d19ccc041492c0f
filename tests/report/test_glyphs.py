"""Names in plots: none is a formula, none is boxes."""

import warnings

import numpy as np
import pytest

from tests.nasty import NAMES
from tlkit.report import glyphs
from tlkit.report.plots import plot_images
from tlkit.tasks.classification import plots


@pytest.fixture
def no_other_fonts(monkeypatch):
    monkeypatch.setattr(glyphs, "_other_fonts", lambda: ())


def test_a_name_is_drawn_as_it_is_on_one_line(no_other_fonts):
    assert glyphs.drawn(["cat", "$x_$", "two\nlines", "a" * 40]) == (
        ["cat", "$x_$", "two\\nlines", "a" * 27 + "…"], ["DejaVu Sans"],
    )  # fmt: skip


def test_what_no_font_has_is_a_number_and_no_box(no_other_fonts):
    assert glyphs.drawn(["cat", "猫", "🦄 b"])[0] == ["cat", "no. 2", "no. 3"]
    assert glyphs.font_for("猫") is None
    assert glyphs.font_for("cat") == glyphs.default_font()


def test_a_font_of_the_system_is_used_where_it_has_the_characters(monkeypatch):
    monkeypatch.setattr(glyphs, "_other_fonts", lambda: (("Some CJK", "cjk.ttc"),))
    real = glyphs._characters
    monkeypatch.setattr(
        glyphs, "_characters", lambda path: frozenset({0x732B}) if path == "cjk.ttc" else real(path)
    )
    assert glyphs.drawn(["猫", "犬"]) == (["猫", "no. 2"], ["DejaVu Sans", "Some CJK"])


def test_every_plot_takes_every_name_without_a_warning(tmp_path, no_other_fonts):
    classes = [name.decode("utf-8", "backslashreplace") for name in NAMES]
    count = len(classes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.plot_confusion(np.eye(count, dtype=int), classes, tmp_path / "confusion.png")
        rows = [{"class": name, "f1": 0.5} for name in classes]
        plots.plot_classes(rows, tmp_path / "classes.png")
        plot_images(np.zeros((16, 8, 8, 3)), classes, tmp_path / "images.png")
    assert len(list(tmp_path.iterdir())) == 3


def test_dollars_are_drawn_and_not_set_as_a_formula(tmp_path, monkeypatch):
    """The same picture as with matplotlib's reading of formulas off."""
    import matplotlib

    for name in ("$x_$", "a$", "\\$b$", "$$"):
        plots.plot_classes([{"class": name, "f1": 0.5}], tmp_path / "ours.png")
        with matplotlib.rc_context({"text.parse_math": False}):
            monkeypatch.setattr(plots, "literal", str)
            plots.plot_classes([{"class": name, "f1": 0.5}], tmp_path / "theirs.png")
            monkeypatch.undo()
        assert (tmp_path / "ours.png").read_bytes() == (tmp_path / "theirs.png").read_bytes(), name
