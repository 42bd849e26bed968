"""How sharp a minimum is: extreme eigenvalues and the spectrum of the Hessian.

Both are of the mean loss over the given data, by the trainable weights, in inference mode (see `DataLoss`).
Rectifiers, whose second derivative is zero wherever there is one, leave those of the loss and of the product
of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from ...brief import brief_repr
from ...checks import checked_number, one_of
from ...stored_result import StoredResult
from .data_loss import mean_loss
from .directions import Direction
from .lanczos import gauss_quadrature, tridiagonalized

_WHICH = {"largest": "LA", "smallest": "SA", "magnitude": "LM"}
# Of so few weights the whole Hessian is at hand.
_SMALL = 32


@dataclass(frozen=True, eq=False)
class HessianEigenvalues:
    """Extreme eigenvalues of the Hessian of the mean loss.

    Attributes:
        values: The eigenvalues, descending, float64 `(count,)`.
        directions: Their unit eigenvectors, each a list of arrays like `model.trainable_variables`, as
            `loss_surface` takes directions.
        residuals: How far each is from one, ‖Hv - λv‖, float64 `(count,)`.
        products: Number of products with the Hessian that it took.
    """

    values: NDArray[np.float64]
    directions: list[Direction]
    residuals: NDArray[np.float64]
    products: int

    def __repr__(self) -> str:
        return f"HessianEigenvalues(values={self.values}, residuals={self.residuals})"


@dataclass(frozen=True, eq=False)
class SpectralDensity(StoredResult):
    """The spectrum of the Hessian as nodes and weights.

    Attributes:
        nodes: Eigenvalues of each run's tridiagonal matrix, float64 `(runs, steps)`.
        weights: The share of the spectrum that each stands for, float64 `(runs, steps)`; they sum to 1 in
            each run.
        about: `size`, the number of weights, and the settings.
    """

    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]
    about: Mapping[str, Any]

    def density(self, values: ArrayLike, *, width: float | None = None) -> NDArray[np.float64]:
        """Returns the density of eigenvalues at some values, every node a Gaussian.

        Args:
            values: Where, `(values,)`.
            width: Standard deviation of the Gaussians; None for a hundredth of the spectrum's range.

        Returns:
            The density, of integral 1, float64 `(values,)`.
        """
        sigma = self.width if width is None else checked_number(width, "width", least=1e-300)
        away = (np.asarray(values, np.float64)[:, None, None] - self.nodes) / sigma
        bells = np.exp(-(away**2) / 2) / (np.sqrt(2 * np.pi) * sigma)
        return np.mean(np.sum(bells * self.weights, axis=2), axis=1)

    @property
    def width(self) -> float:
        """The width of the Gaussians by default."""
        return max(float(np.ptp(self.nodes)) / 100, 1e-12)

    def plot(self, **options: Any) -> Any:
        """Draws the density, its axis with the `width`; see `plotting.spectral_density_curve`."""
        from ...plotting import spectral_density_curve

        margin = 5 * self.width
        values = np.linspace(self.nodes.min() - margin, self.nodes.max() + margin, 1000)
        return spectral_density_curve(
            values, {"Hessian": self.density(values)}, **{"width": self.width, **options}
        )

    def __repr__(self) -> str:
        return brief_repr(self)


def hessian_eigenvalues(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    count: int = 1,
    which: str = "largest",
    tolerance: float = 1e-4,
    most_products: int = 1000,
    seed: int = 0,
    verbose: int = 0,
    **options: Any,
) -> HessianEigenvalues:
    """Returns extreme eigenvalues of the Hessian of the mean loss by a model's trainable weights.

    By implicitly restarted Lanczos (ARPACK, `scipy.sparse.linalg.eigsh`) on products with the Hessian, each
    of which is one exact pass over the data, by differentiating twice. Products are in float32: eigenvalues
    are good to about a millionth of the greatest one, less in half precision.

    Args:
        model: A Keras model at the solution.
        x: Inputs, `(samples, ...)`, or a structure of them.
        y: What is to be predicted.
        count: Number of eigenvalues.
        which: "largest", "smallest" (most negative) or "magnitude" (largest absolute values).
        tolerance: Relative error of the eigenvalues at which to stop.
        most_products: Products with the Hessian after which it gives up.
        seed: Seed of the first vector.
        verbose: 1 shows how many products there have been.
        **options: Of `DataLoss`: `loss`, `sample_weight`, `regularization`, `batch_size`, ….

    Raises:
        ValueError: If data, loss and model do not fit, or an option is out of range.
        RuntimeError: If eigenvalues have not settled after `most_products`.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> x = np.array([[2.0, 0.0], [0.0, 1.0]])  # the Hessian of the mean square is x'x
        >>> hessian_eigenvalues(model, x, np.zeros((2, 1)), count=2, loss="mse").values.tolist()
        [4.0, 1.0]
    """
    loss = mean_loss(model, x, y, options)
    count = checked_number(count, "count", least=1, below=loss.size + 1, whole=True)
    kind = _WHICH[one_of(which, _WHICH, "which")]
    tolerance = checked_number(tolerance, "tolerance", least=1e-12, below=1.0)
    most = checked_number(most_products, "most_products", least=1, whole=True)
    counted = Counted(loss.hessian_product(loss.weights()), verbose)
    loss.check_finite()
    if loss.size <= max(_SMALL, count):
        values, vectors = np.linalg.eigh(_whole(counted, loss.size))
        values, vectors = _chosen(values, vectors, count, kind)
    else:
        values, vectors = _by_arpack(counted, loss.size, count, kind, tolerance, most, seed)
    order = np.argsort(-values)
    values, vectors = values[order], vectors[:, order].T
    residuals = [
        np.linalg.norm(counted(v) - value * v) for value, v in zip(values, vectors, strict=True)
    ]
    counted.done()
    directions = [loss.parted(vector) for vector in vectors]
    return HessianEigenvalues(values, directions, np.array(residuals), counted.count)


def spectral_density(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    steps: int = 80,
    runs: int = 4,
    seed: int = 0,
    verbose: int = 0,
    **options: Any,
) -> SpectralDensity:
    """Returns the density of eigenvalues of the Hessian, by stochastic Lanczos quadrature.

    Each run starts at a random vector v, and finds the weighted nodes that stand for v' f(H) v; their mean
    over runs is trace f(H) / size (Ghorbani, Krishnan and Xiao 2019, "An Investigation into Neural Net
    Optimization via Hessian Eigenvalue Density", section 2).

    Args:
        model: A Keras model at the solution.
        x: Inputs, `(samples, ...)`, or a structure of them.
        y: What is to be predicted.
        steps: Products with the Hessian in each run, each one pass over the data.
        runs: Random vectors.
        seed: Seed of the vectors.
        verbose: 1 draws a progress bar.
        **options: Of `DataLoss`: `loss`, `sample_weight`, `regularization`, `batch_size`, ….

    Raises:
        ValueError: If data, loss and model do not fit, or a number is out of range.

    Example:
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
        >>> x = np.array([[2.0, 0.0], [0.0, 1.0]])
        >>> np.round(spectral_density(model, x, np.zeros((2, 1)), loss="mse", runs=1).nodes, 4).tolist()
        [[1.0, 4.0]]
    """
    steps = checked_number(steps, "steps", least=1, whole=True)
    runs = checked_number(runs, "runs", least=1, whole=True)
    generator = np.random.default_rng(checked_number(seed, "seed", least=0, whole=True))
    loss = mean_loss(model, x, y, options)
    steps = min(steps, loss.size)
    product = Counted(loss.hessian_product(loss.weights()), verbose, steps * runs)
    loss.check_finite()
    nodes, weights = np.zeros((runs, steps)), np.zeros((runs, steps))
    for run in range(runs):
        found = gauss_quadrature(
            *tridiagonalized(product, generator.standard_normal(loss.size), steps)
        )
        # Where the space was exhausted early, the last node is repeated with no weight.
        nodes[run] = np.pad(found[0], (0, steps - len(found[0])), "edge")
        weights[run, : len(found[1])] = found[1]
    return SpectralDensity(nodes, weights, {"size": loss.size, "steps": steps, "seed": seed})


class Counted:
    """A function that counts how often it was called, and shows it: on a bar, or where no end is known alone.

    Args:
        function: The function, of a vector.
        verbose: Whether to show the count.
        most: How many calls there will be, where that is known.
    """

    def __init__(self, function: Callable[..., Any], verbose: int, most: int | None = None) -> None:
        self.function, self.count, self._verbose = function, 0, verbose
        # Of an unknown end, Keras's bar would write "11/Unknown".
        self._bar = most and keras.utils.Progbar(most, verbose=verbose, unit_name="pass")

    def __call__(self, vector: Any) -> Any:
        """Calls the function."""
        found = self.function(vector)
        self.count += 1
        if self._bar:
            self._bar.add(1)
        elif self._verbose:
            print(f"\r{self.count} passes over the data", end="", flush=True)
        return found

    def done(self) -> None:
        """Ends the line of a count without an end."""
        if self._verbose and not self._bar:
            print()


def _whole(product: Callable[..., Any], size: int) -> NDArray[np.float64]:
    matrix = np.stack([product(unit) for unit in np.eye(size)])
    return (matrix + matrix.T) / 2


def _chosen(
    values: NDArray[np.float64], vectors: NDArray[np.float64], count: int, kind: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rank = {"LA": -values, "SA": values, "LM": -np.abs(values)}[kind]
    best = np.argsort(rank)[:count]
    return values[best], vectors[:, best]


def _by_arpack(
    product: Counted, size: int, count: int, kind: str, tolerance: float, most: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    start = np.random.default_rng(seed).standard_normal(size)
    basis = min(size, max(2 * count + 1, 20))
    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    rounds = max(1, most // max(basis - count, 1))
    try:
        return eigsh(
            operator, count, which=kind, v0=start, ncv=basis, tol=tolerance, maxiter=rounds
        )
    except ArpackNoConvergence as error:
        raise RuntimeError(
            f"{len(error.eigenvalues)} of {count} eigenvalues have settled to {tolerance:g} after "
            f"{product.count} products. Give it more (`most_products`), or a greater `tolerance`."
        ) from error
