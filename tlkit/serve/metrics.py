"""The server's Prometheus metrics."""

from __future__ import annotations

import prometheus_client as prometheus

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one server, in their own registry."""

    def __init__(self) -> None:
        self.registry = registry = prometheus.CollectorRegistry()
        self._requests = prometheus.Counter(
            "tlkit_requests", "Requests answered.", ["path", "status"], registry=registry
        )
        self._seconds = prometheus.Histogram(
            "tlkit_request_seconds",
            "From a request's head to the end of its answer.",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self._batches = prometheus.Histogram(
            "tlkit_batch_images", "Images computed together.", buckets=SIZES, registry=registry
        )
        self._pending = prometheus.Gauge(
            "tlkit_queue_images", "Images accepted and not yet answered.", registry=registry
        )

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts an answered request; `path` is the pattern of its route."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, images: int) -> None:
        """Counts a computed batch."""
        self._batches.observe(images)

    def pending(self, images: int) -> None:
        """Sets the number of images that wait for their answer."""
        self._pending.set(images)

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return prometheus.generate_latest(self.registry)
