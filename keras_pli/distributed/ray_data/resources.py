"""What actors take of a cluster: room is left for feeding them, and what could never start is refused."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...checks import checked_number
from ...optional import imported


@dataclass(frozen=True)
class Share:
    """What one actor takes, and how many there are.

    Args:
        concurrency: Actors, from the least number to the most.
        num_cpus: CPUs of each, perhaps a fraction.
        num_gpus: GPUs of each, perhaps a fraction.
    """

    concurrency: tuple[int, int]
    num_cpus: float
    num_gpus: float

    @property
    def threads(self) -> int:
        """Threads that an actor computes with: one for each whole CPU, one at least."""
        return max(1, int(self.num_cpus))


@dataclass(frozen=True)
class Cluster:
    """CPUs and GPUs of each node, and whether an autoscaler may add nodes."""

    cpus: Sequence[float]
    gpus: Sequence[float]
    grows: bool = False

    @classmethod
    def here(cls) -> Cluster:
        """Returns the cluster this process is connected to; starts one, as Ray does, if there is none."""
        ray = imported("ray", "Work on a cluster", extra="ray")
        if not ray.is_initialized():
            ray.init()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return cls(
            [node.get("CPU", 0.0) for node in nodes],
            [node.get("GPU", 0.0) for node in nodes],
            _grows(),
        )


def share_of(cluster: Cluster, concurrency: Any, num_cpus: float | None, num_gpus: float) -> Share:
    """Returns what each actor takes.

    Args:
        cluster: Where the actors run.
        concurrency: Their number, or the least and the most.
        num_cpus: CPUs of each; None takes one, or what is left beside one CPU for feeding them.
        num_gpus: GPUs of each.

    Raises:
        ValueError: If a number is none, or so many actors can never run on this cluster together with a task
            that feeds them.

    Example:
        >>> share_of(Cluster([2.0], [0.0]), 2, None, 0).num_cpus
        0.5
        >>> share_of(Cluster([2.0], [0.0]), 2, 1, 0)
        Traceback (most recent call last):
        ...
        ValueError: 2 actors of 1 CPU each leave none of the cluster's 2 CPUs for the tasks that feed them...
    """
    least, most = _counts(concurrency)
    num_gpus = checked_number(num_gpus, "num_gpus", least=0)
    total = sum(cluster.cpus)
    if num_cpus is None:
        share = Share((least, most), _default(cluster, most), num_gpus)
    else:
        share = Share((least, most), checked_number(num_cpus, "num_cpus", least=0), num_gpus)
    if cluster.grows:
        return share
    if share.num_gpus and _room(cluster.gpus, share.num_gpus) < least:
        raise ValueError(
            f"{_actors(least)} of {_amount(share.num_gpus, 'GPU')} each cannot run on this cluster, whose "
            f"nodes have {[round(count, 2) for count in cluster.gpus]} GPUs, and no autoscaler adds nodes. "
            "Lower `concurrency` or `num_gpus`."
        )
    if not _leaves_one(cluster.cpus, share.num_cpus, least):
        raise ValueError(
            f"{_actors(least)} of {_amount(share.num_cpus, 'CPU')} each leave none of the cluster's "
            f"{_amount(total, 'CPU')} for the tasks that feed them (by node: "
            f"{[round(count, 2) for count in cluster.cpus]}): nothing would ever start, and no autoscaler "
            "adds nodes. Lower `concurrency` or `num_cpus`, or leave `num_cpus` out."
        )
    return share


def prepare_device(share: Share) -> None:
    """Gives Keras's backend an actor's threads and GPUs; called in the actor, before it computes.

    With a part of a GPU, TensorFlow takes memory as it needs it, and not all there is. Without one, it sees
    none.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    tf = imported("tensorflow", "An actor")
    try:
        tf.config.threading.set_intra_op_parallelism_threads(share.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1 if share.threads == 1 else 2)
        if not share.num_gpus:
            tf.config.set_visible_devices([], "GPU")
        elif share.num_gpus < 1:
            for device in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(device, True)
    except RuntimeError as error:
        warnings.warn(
            "TensorFlow was at work before an actor could tell it its share of CPUs and GPUs, as by a "
            f"function that holds tensors: {error}",
            stacklevel=2,
        )


def _counts(concurrency: Any) -> tuple[int, int]:
    given = concurrency if isinstance(concurrency, tuple | list) else (concurrency, concurrency)
    if len(given) != 2:
        raise ValueError(
            "`concurrency` must be a number of actors, or the least and the most. "
            f"Received: {concurrency!r}."
        )
    least, most = (checked_number(count, "concurrency", least=1, whole=True) for count in given)
    if least > most:
        raise ValueError(
            f"`concurrency` must be (least, most), the least first. Received: {concurrency!r}."
        )
    return least, most


def _default(cluster: Cluster, actors: int) -> float:
    """One CPU; or equal parts of what is left beside one CPU, in hundredths, rounded down."""
    if cluster.grows or _leaves_one(cluster.cpus, 1, actors):
        return 1.0
    # On one node these parts always fit; on several, parts that fit into each.
    left = sum(cluster.cpus) - 1
    part = math.floor(100 * min(1.0, max(0.0, left) / actors)) / 100
    while part > 0 and not _leaves_one(cluster.cpus, part, actors):
        part = max(0.0, round(part - 0.01, 2))
    return part


def _leaves_one(cpus: Sequence[float], each: float, actors: int) -> bool:
    """Whether so many actors fit beside a task of one CPU; on a smaller cluster no task could run at all."""
    if not any(count >= 1 for count in cpus):
        return False
    if not each:
        return True
    for number, count in enumerate(cpus):
        if count >= 1 and _room([*cpus[:number], count - 1, *cpus[number + 1 :]], each) >= actors:
            return True
    return False


def _room(amounts: Sequence[float], each: float) -> int:
    """How many actors fit on all nodes; one cannot be spread over several."""
    return sum(int((amount + 1e-6) // each) for amount in amounts)


def _grows() -> bool:
    """Whether an autoscaler may add nodes; as far as Ray tells, which has no public name for it."""
    from ray._private import state
    from ray.experimental import internal_kv

    limits = getattr(state.state, "get_max_resources_from_cluster_config", lambda: None)()
    if limits:
        return True
    try:
        said = json.loads(internal_kv._internal_kv_get("__autoscaling_status") or "{}")
        kinds = said["autoscaler_report"]["active_nodes"]
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    # Where nobody configured kinds of nodes, Ray makes up one for each node that is there.
    return any(not kind.startswith(("node_", "local")) for kind in kinds)


def _actors(count: int) -> str:
    return f"{count} actor{'s' if count != 1 else ''}"


def _amount(count: float, kind: str) -> str:
    return f"{count:g} {kind}{'s' if count != 1 else ''}"
