"""What the server tells Prometheus."""

from __future__ import annotations

import prometheus_client as prometheus

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one server, in a registry of their own."""

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
        """A request was answered; `path` is the route's pattern."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, images: int) -> None:
        """Some images were computed together."""
        self._batches.observe(images)

    def pending(self, images: int) -> None:
        """So many images wait for their answer."""
        self._pending.set(images)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return prometheus.generate_latest(self.registry)
