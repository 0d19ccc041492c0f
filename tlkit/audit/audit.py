"""The whole audit."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tlkit.audit.duplicates import duplicate_findings
from tlkit.audit.files import file_findings, look_at_files
from tlkit.audit.labels import Doubt, judge
from tlkit.data.account import FileAccount
from tlkit.data.dataset import (
    Dataset,
    Split,
    assign_splits,
    decoding_key,
    keep_pixels,
    read_source,
    scan,
)
from tlkit.data.decode import make_preparer
from tlkit.data.record import Record, SourceData
from tlkit.errors import DataError, UserError, first_line, some_of
from tlkit.finding import LEVELS, Finding, Level
from tlkit.recipe.schema import Data
from tlkit.reporter import SILENT, Reporter
from tlkit.tasks.base import Task, TaskData
from tlkit.tasks.find import find_task


@dataclasses.dataclass
class Audit:
    """What an audit found.

    Attributes:
        images: Number of files.
        counts: Number of intact images of each class in each split.
        findings: Findings, the worst first.
        skipped: Parts that could not be done, and why.
        doubts: All labels that a network could judge, the most doubtful first.
        records: Records by name, for showing the images of findings.
        account: What happened to every file.
        notes: How the source was read.
    """

    images: int
    counts: dict[str, dict[str, int]]
    findings: list[Finding]
    skipped: list[str]
    doubts: list[Doubt] = dataclasses.field(repr=False, default_factory=list)
    records: dict[str, Record] = dataclasses.field(repr=False, default_factory=dict)
    account: FileAccount = dataclasses.field(default_factory=lambda: FileAccount({}))
    notes: Sequence[str] = ()

    @property
    def is_clean(self) -> bool:
        """Whether there are no errors and no warnings."""
        return all(finding.level == "note" for finding in self.findings)

    def summary(self) -> list[tuple[str, str, int]]:
        """Kind, level and number of findings, the worst first."""
        counted = Counter((finding.kind, finding.level) for finding in self.findings)
        return [(kind, level, count) for (kind, level), count in counted.items()]

    def as_json(self) -> dict[str, Any]:
        """For check.json."""
        return {
            "images": self.images,
            "files": self.account.as_json(),
            "notes": list(self.notes),
            "counts": self.counts,
            "summary": [
                dict(zip(("kind", "level", "count"), row, strict=True)) for row in self.summary()
            ],
            "skipped": self.skipped,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "labels_by_doubt": [dataclasses.asdict(doubt) for doubt in self.doubts],
        }


def audit(
    config: Data,
    backbone: tuple[str, str] | None,
    image_size: tuple[int, int] = (224, 224),
    *,
    engine: str = "auto",
    task: type[Task] | None = None,
    reporter: Reporter = SILENT,
) -> Audit:
    """Audits a data set.

    Args:
        config: Where the data are and how they are split.
        backbone: Name and weights of the network whose features judge the labels; None to
            skip this.
        image_size: Input height and width of the network, in pixels.
        engine: Inference backend that computes the features.
        task: Task to be learned; found from the data by default.
        reporter: Reports messages and progress to the user.

    Raises:
        DataError: if there are no images at all.
    """
    source = read_source(config)
    seen = look_at_files(source.records, reporter.progress("reading files"))
    whole = [item for item in seen if item.problem is None]
    findings = list(file_findings(seen))
    broken = [(s.record.name, s.problem) for s in seen if s.problem is not None]
    account = FileAccount({"images": len(whole)}, source.ignored, broken)
    findings += _account_findings(account, source)
    skipped: list[str] = []
    splits: list[str] = []
    doubts: list[Doubt] = []
    counts: dict[str, dict[str, int]] = {}
    if whole:
        records = [item.record for item in whole]
        kind = task or find_task(source)
        splits = list(assign_splits(records, [item.digest for item in whole], config, kind))
        findings += duplicate_findings(whole, splits)
        findings += kind.audit(records, splits)
        learned, reason = _learned(kind, records, source)
        counts = _counts(learned, records, splits)
        if backbone is None:
            skipped.append("labels and outliers: no backbone was wanted")
        elif learned is None:
            skipped.append(f"labels and outliers: {reason}")
        else:
            judged, doubts, reason = _judge_labels(
                kind,
                dataclasses.replace(source, records=records),
                backbone,
                config,
                image_size,
                engine=engine,
                reporter=reporter,
            )
            findings += judged
            skipped += [reason] if reason else []
    # findings are grouped by kind, in the order in which the kinds were first found
    kinds = {kind: place for place, kind in enumerate(dict.fromkeys(f.kind for f in findings))}
    findings.sort(key=lambda finding: (LEVELS.index(finding.level), kinds[finding.kind]))
    return Audit(
        len(seen),
        counts,
        findings,
        skipped,
        doubts,
        {record.name: record for record in source.records},
        account,
        source.notes,
    )


def _account_findings(account: FileAccount, source: SourceData) -> Iterator[Finding]:
    """Classes without images, and files that look like pictures but are not used."""
    for name in source.empty:
        yield Finding("empty_class", "error", f"no image in class {name!r}")
    lost = [item for item in account.ignored if item.lost]
    level: Level = "error" if account.too_many_lost else "warning"
    for reason in dict.fromkeys(item.reason for item in lost):
        names = [item.name for item in lost if item.reason == reason]
        text = f"{len(names)} files that look like pictures are not used, each {reason}: "
        yield Finding("ignored", level, text + some_of(names))


def _learned(
    kind: type[Task], records: list[Record], source: SourceData
) -> tuple[TaskData | None, str]:
    """The training data that the intact images make, or why they cannot be trained on."""
    try:
        return kind.learn(records, dataclasses.replace(source, classes=None, empty=())), ""
    except DataError as error:
        return None, first_line(error)


def _counts(
    learned: TaskData | None, records: list[Record], splits: list[str]
) -> dict[str, dict[str, int]]:
    """Images of each output in each split."""
    counts: dict[str, dict[str, int]] = {}
    for split in dict.fromkeys(splits):
        rows = [k for k, other in enumerate(splits) if other == split]
        if learned is None:
            counts[split] = dict(Counter(records[k].label for k in rows))
            continue
        found = learned.task.counts(learned.labels[rows])
        named = zip(learned.task.outputs, found, strict=True)
        counts[split] = {name: int(count) for name, count in named if count}
    return counts


def _judge_labels(
    kind: type[Task],
    source: SourceData,
    backbone: tuple[str, str],
    config: Data,
    image_size: tuple[int, int],
    *,
    engine: str,
    reporter: Reporter,
) -> tuple[list[Finding], list[Doubt], str]:
    """Findings and doubts from a network's features, or why there are none."""
    from tlkit.embed import embed

    prepare = make_preparer(image_size, config.resize, config.antialias)
    kept = keep_pixels(config.cache, len(source.records), image_size)
    scanned = scan(source.records, prepare, kept, reporter.progress("decoding"))
    learned, reason = _learned(kind, scanned.records, source)
    if learned is None:  # because too many do not decode
        return [], [], f"labels and outliers: {reason}"
    split = Split(scanned.records, learned.labels, scanned.hashes, scanned.pixels)
    decoding = decoding_key(config, image_size)
    dataset = Dataset(learned.task, {"train": split}, [], prepare, image_size, decoding)
    name, weights = backbone
    try:
        found = embed(name, weights, dataset, split, engine=engine, reporter=reporter)
    except UserError as error:
        return [], [], f"labels and outliers: {first_line(error)}"
    if found is None:
        return [], [], "labels and outliers: features fit neither on disk nor in memory"
    names = [record.name for record in scanned.records]
    broken = [
        Finding("broken", "error", f"{name} {reason}", (name,)) for name, reason in scanned.broken
    ]
    findings, doubts = judge(learned.task, found[0], learned.labels, names)
    return [*broken, *findings], doubts, ""
