"""What Triton's statistics extension tells of a model: how often, and how long each part took.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
"""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict

PARTS = ("queue", "compute_input", "compute_infer", "compute_output")


@dataclasses.dataclass
class Duration:
    """How often something happened, and how long it took together."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """It happened once more."""
        self.count += 1
        self.ns += round(seconds * 1e9)

    def told(self) -> dict[str, int]:
        """As the protocol writes it."""
        return {"count": self.count, "ns": self.ns}


@dataclasses.dataclass
class Timing:
    """Moments of one image, in seconds of `time.perf_counter`.

    Attributes:
        begun: It was accepted.
        submitted: It was decoded, and waits for a batch.
        started: Its batch was put together.
        computed: Its batch was computed.
    """

    begun: float = 0.0
    submitted: float = 0.0
    started: float = 0.0
    computed: float = 0.0


class Statistics:
    """Counts of a server since its start."""

    def __init__(self) -> None:
        self.last = 0  # milliseconds since 1970
        self.images = 0
        self.success, self.fail = Duration(), Duration()
        self.parts = {name: Duration() for name in PARTS}
        self.batches: dict[int, dict[str, Duration]] = defaultdict(
            lambda: {name: Duration() for name in PARTS[1:]}
        )

    def answered(self, timings: list[Timing]) -> None:
        """A request was answered; of its images the one counts that took longest in a part."""
        now = time.perf_counter()
        self.last = time.time_ns() // 1_000_000
        self.images += len(timings)
        self.success.add(now - min(t.begun for t in timings))
        self.parts["compute_input"].add(max(t.submitted - t.begun for t in timings))
        self.parts["queue"].add(max(t.started - t.submitted for t in timings))
        self.parts["compute_infer"].add(max(t.computed - t.started for t in timings))
        self.parts["compute_output"].add(now - max(t.computed for t in timings))

    def failed(self, seconds: float) -> None:
        """A request was not answered with what it asked for."""
        self.last = time.time_ns() // 1_000_000
        self.fail.add(seconds)

    def batch(self, images: int, stacked: float, computed: float, handed_out: float) -> None:
        """Images were computed together; seconds before, while and after it."""
        parts = self.batches[images]
        for part, seconds in zip(parts.values(), (stacked, computed, handed_out), strict=True):
            part.add(seconds)

    def told(self, name: str, version: str) -> dict[str, object]:
        """As the protocol writes it."""
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
