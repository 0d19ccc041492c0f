"""Every order that reaches a file or an id is the same in every process."""

import json
import os
import subprocess
import sys

from tests.data.test_folder import tree

SCRIPT = """
import json, sys
from tlkit import registry
from tlkit.tasks.classification.labels import find_classes
from tlkit.data.split import split_by_hash
root = sys.argv[1]
found = []
for name in ("folder", "manifest"):
    path = root + ("/m.csv" if name == "manifest" else "/data")
    data = registry.SOURCES.build(name, path=path)
    labels = [r.label for r in data.records]
    hashes = [f"{k:064x}" for k in range(len(labels))]
    found.append([[r.name for r in data.records], find_classes(data.records, data), data.notes,
                  [i.name for i in data.ignored], split_by_hash(hashes, labels, 0.2, 0.1)])
print(json.dumps(found))
"""
TIED = ("1", "01", "001", "Cat", "cat", "CAT", "a1", "A1", "①", "1a", "caf\u00e9", "cafe\u0301")


def test_names_that_tie_have_one_order_in_every_process(tmp_path):
    tree(tmp_path / "data", *(f"{name}*2" for name in TIED))
    (tmp_path / "data" / "cat" / "note").write_text("words")
    lines = [f"data/{name}/{k}.png,{name}\n" for name in TIED[:-1] for k in range(2)]
    (tmp_path / "m.csv").write_text("path,label\n" + "".join(lines), "utf-8")
    seen = set()
    for seed in ("0", "1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        seen.add(done.stdout)
    (only,) = seen
    classes, _ = json.loads(only)[0][1]
    assert classes == ["001", "01", "1", "1a", "A1", "a1", "caf\u00e9", "CAT", "Cat", "cat", "①"]
