"""The settings of a search for rationales, in groups of what belongs together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ...images import increasing
from ...network.runner import uses_xla
from ...settings import Settings, choice, group, number, setting

# From images and their reconstructions to one loss for each, `(batch,)`.
ReconstructionLoss: TypeAlias = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Search(Settings):
    """What a search for a rationale lowers, and how hard it tries; see `RationaleGenerator`.

    Args:
        target_weight: β; without effect for a single output.
        leave: Which class m is: at each step the `"strongest"` but the target, so that no third class takes
            over, or the one `"predicted"` at the start, as in the paper.
        similarity_weight: γ, in logits (of a regressor, in its units) for a mean squared difference of 1.
        similarity_half_life: Steps after which γ has halved for a sample that has not arrived: too great a
            γ only delays it. None keeps γ, as in the paper, where such samples come to rest halfway.
        starts: Places to search from: z₀, and others around it. Kept is one that reached the aim, and of
            several the one whose image changed least.
        start_spread: Standard deviation of the other starts around z₀.
        polish: Steps that go on, from where the aim was reached, to lessen the change in any direction, where
            halving only goes straight back. It can make changes several times smaller, and then such as other
            classifiers agree with less: 0 for rationales, 100 to find how near the boundary is.

    Raises:
        ValueError: If a number is out of its range.

    Example:
        >>> Search(polish=100).similarity_weight
        10.0
    """

    target_weight: float = field(default=1.0, metadata=number(least=0))
    leave: Literal["strongest", "predicted"] = field(
        default="strongest", metadata=choice("strongest", "predicted")
    )
    similarity_weight: float = field(default=10.0, metadata=number(least=0))
    similarity_half_life: float | None = field(default=100, metadata=number(least=1, optional=True))
    starts: int = field(default=1, metadata=number(least=1, whole=True))
    start_spread: float = field(default=0.3, metadata=number(least=0))
    polish: int = field(default=0, metadata=number(least=0, whole=True))


@dataclass(frozen=True)
class Reconstruction(Settings):
    """How the code z₀ that a search starts from is brought nearer to the image; see `RationaleGenerator`.

    Args:
        refine: Steps by which z₀ is moved so that G(z₀) resembles the image more; it never gets worse. None
            takes 100 for a classifier of images, and 0 for one of codes, which knows the encoder's codes.
        refine_loss: From images and reconstructions to losses `(batch,)`, of TensorFlow operations; None for
            the mean squared error.
        limit: A reconstruction is too far if it misses more than this share of the image's variance, or is
            decided otherwise than the image.

    Raises:
        ValueError: If a number is out of its range.

    Example:
        >>> Reconstruction(refine=60).limit
        0.5
    """

    refine: int | None = field(default=None, metadata=number(least=0, whole=True, optional=True))
    refine_loss: ReconstructionLoss | None = None
    limit: float = field(default=0.5, metadata=number(least=0))


@dataclass(frozen=True)
class RationaleSettings(Settings):
    """All settings of a `RationaleGenerator`, which describes them and has their defaults."""

    confidence: float = field(metadata=number(least=0, below=1))
    cutoff: float | None = field(metadata=number(optional=True))
    direction: Literal["lower", "raise"] = field(metadata=choice("lower", "raise"))
    steps: int = field(metadata=number(least=1, whole=True))
    learning_rate: float = field(metadata=number(least=0))
    search: Search = field(metadata=group(Search))
    reconstruction: Reconstruction = field(metadata=group(Reconstruction))
    task: Literal["auto", "classification", "regression"] = field(
        metadata=choice("auto", "classification", "regression")
    )
    classifies: Literal["auto", "codes", "images"] = field(
        metadata=choice("auto", "codes", "images")
    )
    image_range: tuple[float, float] | None = field(
        metadata=setting(lambda value, _: None if value is None else increasing(value))
    )
    path_points: int = field(metadata=number(least=2, whole=True))
    seed: int = field(metadata=number(least=0, whole=True))
    # Both change results by rounding, and the batches are what is stored.
    batch_size: int = field(metadata=number(least=1, whole=True))
    jit_compile: bool = field(metadata=setting(lambda value, _: uses_xla(value)))
    class_names: Sequence[str] | None = field(
        metadata=setting(
            lambda names, _: None if names is None else tuple(map(str, names)), decides=False
        )
    )
