"""One nasty set of names through every command, as a user without a terminal in LANG=C has them."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.nasty import make_nasty_set

WALK = pathlib.Path(__file__).with_name("nasty_walk.py")
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202e]")


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The folder into which the wheel that is built from this tree was installed."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("tlkit", "recipes"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    built = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run([*pip, *built], check=True, cwd=folder)
    (wheel,) = folder.glob("tlkit-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def walk(site, folder):
    """Runs the walk on a data folder that cannot be written to, and two commands as processes of their own."""
    data, work = folder / "my $data, <b> [red] 猫", folder / "work"
    data.mkdir()
    work.mkdir()
    made = make_nasty_set(data, images=5)
    for place, _, _ in os.walk(data):
        os.chmod(place, 0o555)
    before = sorted(os.walk(os.fsencode(data)))
    keep = ("PATH", "HOME", "TMPDIR", "TLKIT_CACHE", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
    environment = {key: os.environ[key] for key in keep if key in os.environ}
    environment |= {"PYTHONPATH": str(site), "LANG": "C", "LC_ALL": "C", "NO_COLOR": "1"}

    def process(*words):
        return subprocess.run(
            [sys.executable, *map(str, words)],
            capture_output=True, env=environment, stdin=subprocess.DEVNULL, cwd=folder, timeout=900,
        )  # fmt: skip

    tlkit = site / "bin" / "tlkit"
    for done in (
        process(tlkit, "init", data, "-o", "a b.yaml"),
        process(tlkit, "validate", "a b.yaml"),
    ):
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert not CONTROLS.search(done.stdout.decode("utf-8"))
    done = process(tlkit, "init", data / "\x1b[31m $gone")
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1, done.stderr
    assert not CONTROLS.search(done.stderr.decode("utf-8"))
    done = process(WALK, data, work)
    assert sorted(os.walk(os.fsencode(data))) == before
    for place, _, _ in os.walk(data):
        os.chmod(place, 0o755)
    return made, done


@pytest.mark.slow
def test_nasty_names_pass_through_every_command_of_the_wheel(installed, tmp_path):
    made, done = walk(installed, tmp_path)
    errors = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, errors[-3000:]
    said = done.stdout.decode("utf-8")
    legible = {os.fsencode(name).decode("utf-8", "backslashreplace").strip() for name in made}
    assert set(json.loads(said.splitlines()[-1])) == legible
    # nothing that a terminal obeys, and no word of another library
    assert not CONTROLS.search(said)
    # our own progress alone is told there
    assert not re.sub("^  predicting: .*\n", "", errors, flags=re.M)
    assert f"tlkit is in {installed}" in said
