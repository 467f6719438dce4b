"""What Kubernetes did to a pod, read from its own description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def fate_of_pod(pods: Iterable[Mapping[str, Any]], address: str) -> str | None:
    """Who took the worker away that was in the pod of that address.

    Returns:
        What was done to the pod; empty where its worker died by itself; None where nothing tells yet.
    """
    pod = next((pod for pod in pods if pod.get("status", {}).get("podIP") == address), None)
    if pod is None:
        return "Kubernetes has deleted its pod"
    name, status = pod["metadata"]["name"], pod["status"]
    if reason := _disruption(status):
        return f"Kubernetes has ended pod {name} ({reason})"
    if pod["metadata"].get("deletionTimestamp"):
        return f"Kubernetes has ended pod {name} (it is deleted)"
    ended = any(_ended(container) for container in status.get("containerStatuses", ()))
    return "" if ended else None


def _disruption(status: Mapping[str, Any]) -> str:
    """Why a pod has to go that did nothing wrong, in one word."""
    for condition in status.get("conditions", ()):
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return str(condition.get("reason") or "DisruptionTarget")
    reason = str(status.get("reason") or "")
    return reason if reason in _TAKEN else ""


_TAKEN = (
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "NodeShutdown",
    "Preempting",
    "Shutdown",
    "Terminated",
)


def _ended(container: Mapping[str, Any]) -> bool:
    """Whether a container has come to its end, be it that it was started again."""
    return bool(container.get("restartCount")) or "terminated" in container.get("state", {})
