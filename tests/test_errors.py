import pytest

from tlkit.errors import UserError


@pytest.mark.parametrize("message", ["is gone", "is gone."])
def test_what_was_found_and_what_to_do_are_two_sentences(message):
    assert str(UserError(message, where="a.csv:3", hint="Look.")) == "a.csv:3: is gone. Look."
    assert str(UserError(message, where="a.csv:3")) == f"a.csv:3: {message}"


def test_a_question_ends_as_one():
    assert str(UserError("which?", hint="Say.")) == "which? Say."
