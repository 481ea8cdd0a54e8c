"""What machines ask of a running process: is it alive, is it ready, what does it count."""

from colonnade.faces.status.probes import Check, Metrics, mount

__all__ = ["Check", "Metrics", "mount"]
