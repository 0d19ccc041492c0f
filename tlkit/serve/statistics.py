"""Triton's statistics extension: how often requests happened, and how long each part took.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
"""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict

PARTS = ("queue", "compute_input", "compute_infer", "compute_output")


@dataclasses.dataclass
class Duration:
    """How often something happened, and its total duration."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """Counts one more occurrence."""
        self.count += 1
        self.ns += round(seconds * 1e9)

    def told(self) -> dict[str, int]:
        """The duration in the protocol's format."""
        return {"count": self.count, "ns": self.ns}


@dataclasses.dataclass
class Timing:
    """Timestamps of one image, in seconds of `time.perf_counter`.

    Attributes:
        begun: When it was accepted.
        submitted: When it was decoded and began to wait for a batch.
        started: When stacking of its batch began.
        computed: When its batch was computed.
    """

    begun: float = 0.0
    submitted: float = 0.0
    started: float = 0.0
    computed: float = 0.0


class Statistics:
    """Statistics of a server since its start."""

    def __init__(self) -> None:
        self.last = 0  # of the last request, in milliseconds since 1970
        self.images = 0
        self.success, self.fail = Duration(), Duration()
        self.parts = {name: Duration() for name in PARTS}
        self.batches: dict[int, dict[str, Duration]] = defaultdict(
            lambda: {name: Duration() for name in PARTS[1:]}
        )

    def answered(self, timings: list[Timing]) -> None:
        """Counts an answered request; each part is timed by the slowest of its images."""
        now = time.perf_counter()
        self.last = time.time_ns() // 1_000_000
        self.images += len(timings)
        self.success.add(now - min(t.begun for t in timings))
        self.parts["compute_input"].add(max(t.submitted - t.begun for t in timings))
        self.parts["queue"].add(max(t.started - t.submitted for t in timings))
        self.parts["compute_infer"].add(max(t.computed - t.started for t in timings))
        self.parts["compute_output"].add(now - max(t.computed for t in timings))

    def failed(self, seconds: float) -> None:
        """Counts a request that failed."""
        self.last = time.time_ns() // 1_000_000
        self.fail.add(seconds)

    def batch(self, images: int, stacked: float, computed: float, handed_out: float) -> None:
        """Counts a computed batch, with the seconds before, during and after the computation."""
        parts = self.batches[images]
        for part, seconds in zip(parts.values(), (stacked, computed, handed_out), strict=True):
            part.add(seconds)

    def told(self, name: str, version: str) -> dict[str, object]:
        """The statistics in the protocol's format."""
        batches = [
            {"batch_size": size, **{part: d.told() for part, d in parts.items()}}
            for size, parts in sorted(self.batches.items())
        ]
        nothing = Duration().told()
        return {
            "name": name,
            "version": version,
            "last_inference": self.last,
            "inference_count": self.images,
            "execution_count": sum(parts["compute_infer"].count for parts in self.batches.values()),
            "inference_stats": {
                "success": self.success.told(),
                "fail": self.fail.told(),
                **{part: duration.told() for part, duration in self.parts.items()},
                "cache_hit": nothing,
                "cache_miss": nothing,
            },
            "batch_stats": batches,
        }
