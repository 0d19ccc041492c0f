"""`tlkit cache`."""

import gzip
import os
import re
import zipfile

import pytest
from click.testing import CliRunner

import tlkit
from tlkit.cli.main import cli
from tlkit.data.archive import opened
from tlkit.data.compressed import decompressed
from tlkit.errors import UserError


def tell(*arguments):
    found = CliRunner().invoke(cli, ["cache", *arguments], catch_exceptions=True)
    return found.exit_code, found.output, found.exception


def test_what_a_run_left_is_listed_and_removed(recipe, tmp_path):
    tlkit.finetune(recipe, run_dir=tmp_path / "run")
    code, text, _ = tell("ls")
    assert code == 0
    line, total = text.splitlines()
    assert "60 images" in line
    assert re.search(r"tiny 128, 32x32 crop decoder \d+, keras, float32", line)
    assert total.endswith(f"in {tmp_path / 'cache'}")
    key = line.split()[0]
    assert isinstance(tell("rm", "zzz")[2], UserError)
    assert tell("rm")[0] == 2
    assert tell("rm", key)[1].startswith("1 entries, ")
    assert tell("ls")[1].startswith("0 entries, 0 B")


@pytest.mark.parametrize(
    ("size", "left"), [("1TB", 1), ("1kb", 0), ("0.5 M", 1), ("2000", 0), ("ten", None)]
)
def test_sizes(recipe, tmp_path, size, left):
    tlkit.finetune(recipe, run_dir=tmp_path / "run")
    code, text, _ = tell("prune", "--max-size", size)
    if left is None:
        assert code == 2
        assert "'ten' is not a valid size; write it as 500MB or 20GB" in text
        return
    assert text.startswith(f"{1 - left} entries")
    assert tell("ls")[1].startswith("0 entries") == (left == 0)


def test_unpacked_archives_are_listed_and_removed_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        file.writestr("photos/a.txt", "x" * 1000)
        file.writestr("photos/b.txt", "x" * 500)
    (tmp_path / "list.gz").write_bytes(gzip.compress(b"x" * 700))
    folder, file = opened(tmp_path / "photos.zip"), decompressed(tmp_path / "list.gz")
    os.utime(folder.parent, (1, 1))
    code, text, _ = tell("ls")
    assert code == 0
    assert f"unpacked from {tmp_path / 'photos.zip'}" in text
    assert "2 files" in text
    assert tell("prune", "--max-size", "1kb")[1].startswith("1 entries")  # that unused for longest
    assert (folder.exists(), file.exists()) == (False, True)
    assert opened(tmp_path / "photos.zip").exists()  # unpacked anew
    assert tell("rm", "--all")[1].startswith("2 entries")
    assert tell("ls")[1].startswith("0 entries, 0 B")
