import sys

import pydantic
import pytest

from tlkit import registry
from tlkit.registry import Registry


@pytest.mark.parametrize(
    "things",
    [v for v in vars(registry).values() if isinstance(v, Registry)],
    ids=lambda things: things.kind,
)
def test_every_registered_thing_loads_and_says_what_it_is(things):
    assert len(things)
    for entry in things.values():
        assert entry.load().registered_name == entry.name
        assert entry.summary.endswith(".") or ":" in entry.summary or entry.summary.endswith(")")
        assert entry.arguments.model_json_schema()


def test_names_are_read_without_importing_their_files(monkeypatch):
    # put back afterwards: imported anew, the module would hide the function of its name
    monkeypatch.delitem(sys.modules, "tlkit.schedules.cosine", raising=False)
    assert "cosine" in registry.SCHEDULES
    assert registry.SCHEDULES["cosine"].arguments().warmup_epochs == 0.0
    assert "tlkit.schedules.cosine" not in sys.modules


def test_arguments_are_checked_by_their_annotations():
    entry = registry.OPTIMIZERS["adam"]
    with pytest.raises(pydantic.ValidationError, match=r"greater than or equal to 0.0000000001"):
        entry.arguments(learning_rate=-1)
    with pytest.raises(pydantic.ValidationError, match="Extra inputs"):
        entry.arguments(momentum=0.9)


def test_a_new_file_registers_itself(tmp_path, monkeypatch):
    package = tmp_path / "things"
    package.mkdir()
    (package / "hop.py").write_text(
        'from tlkit.registry import register\n\n@register("hop")\ndef hop(given, *, high: int = 3):\n'
        '    """Hops."""\n    return given + high\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    things = Registry("thing", "things")
    monkeypatch.setattr("tlkit.registry.__file__", str(tmp_path / "tlkit" / "registry.py"))
    assert list(things) == ["hop"]
    assert things.build("hop", 4) == 7
    assert "Did you mean 'hop'" in things.suggest("hopp")
