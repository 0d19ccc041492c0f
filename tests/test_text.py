"""Names where they meet terminals and spreadsheets."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from tlkit.text import cell, from_cell, one_line, printable, shortened


@given(st.text(alphabet=st.characters(codec=None) | st.sampled_from("='+-@\t\r\n\"',;")))
def test_a_cell_is_no_formula_and_gives_the_text_back(text):
    found = cell(text)
    assert from_cell(found) == text
    assert found[:1] not in tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow([found])
    (row,) = csv.reader(io.StringIO(buffer.getvalue(), newline=""))
    assert from_cell(row[0] if row else "") == text


def test_ordinary_names_are_written_as_they_are():
    for name in ("cat", "it's", "猫", "a=b", "p:-1", "'quoted'", "1-2"):
        assert cell(name) == name


def test_nothing_that_a_terminal_obeys_is_printed():
    assert (
        printable("\x1b[31mred\x07 \u202eabc\udcff\n\tb")
        == "\\x1b[31mred\\x07 \\u202eabc\\udcff\n\tb"
    )
    assert one_line("two\nlines") == "two\\nlines"
    assert printable("猫 🐱 é [red]") == "猫 🐱 é [red]"


def test_a_long_name_is_cut():
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
