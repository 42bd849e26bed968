"""A classifier's decision as a search sees it: what to lower, and when the decision has changed.

`attribution` finds the logits before a softmax or sigmoid, in whatever way the classifier makes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import keras
import tensorflow as tf

from ...network.forward import Forward, Network, probabilities
from ...network.targets import predicted_classes
from .rationale_settings import RationaleSettings

Tensor = Any
Aim: TypeAlias = "dict[str, Tensor]"

# What an aim is passed by, so that rounding in another batch does not undo it.
_HAIR = 1e-6


class Scores(NamedTuple):
    """What a classifier says about a batch.

    Attributes:
        logits: Before a softmax or sigmoid, `(batch, classes)`; of a regressor `(batch, 1)`.
        outputs: Probabilities, or the values of a regressor, of the same shape.
    """

    logits: Tensor
    outputs: Tensor


@dataclass(frozen=True)
class ClassDecision:
    """Algorithm 2 of Seah et al. (2018): the class left down, the target class up.

    They weigh probabilities, y_m − β y_t, and suspect "vanishingly small gradients" (section 4) where digits
    would not change their class; here y are logits, whose gradients do not vanish. Two misprints are read by
    their evident meaning: m is the class of the largest output (line 2 has "argmin"), and the loop ends when
    the target class is reached (line 8 waits for y_m above the cutoff, while y_m is lowered).

    Some of their digits turn into a third class (section 3), for which only y_m and y_t count. Here, m is at
    each step the class that stands most in the target's way, unless `leave` is `"predicted"`.

    A single sigmoid unit has the classes 0 and 1; its logit alone is lowered or raised, as in algorithm 1.

    Args:
        network: The classifier.
        units: Outputs of the classifier.
        confidence: Probability of the target class to reach.
        target_weight: β.
        leave: What m is: `"strongest"`, the largest output but the target's at each step, or `"predicted"`,
            the largest one at the start, as in the paper.
    """

    network: Network
    units: int
    confidence: float
    target_weight: float
    leave: Literal["strongest", "predicted"] = "strongest"

    task: ClassVar[Literal["classification"]] = "classification"

    @property
    def classes(self) -> int:
        """How many classes there are to choose from."""
        return max(self.units, 2)

    def read(self, inputs: Tensor) -> Scores:
        """Runs the classifier."""
        forward = self.network.forward(inputs)
        if forward.logits.shape[-1] == 1:  # a linear unit that is said to be a class's logit
            pair = tf.concat([-forward.logits, forward.logits], axis=-1)
            forward = Forward(pair, squashing="Sigmoid")
        return Scores(forward.logits, probabilities(forward))

    def aim(self, seen: Scores, start: Scores, target: Tensor) -> Aim:
        """Returns the target, −1 standing for the runner-up, and the class to leave."""
        predicted = predicted_classes(seen.logits)
        chosen = tf.where(target < 0, self._best_but(predicted, seen), target)
        return {"target": chosen, "left": self._best_but(chosen, start), "predicted": predicted}

    def losses(self, scores: Scores, aim: Aim) -> Tensor:
        """What the search lowers, `(batch,)`."""
        raised = _at(scores.logits, aim["target"])
        if self.units == 1:
            return -raised
        if self.leave == "predicted":
            lowered = _at(scores.logits, aim["left"])
        else:
            lowered = tf.reduce_max(scores.logits - _taken(aim["target"], self.classes), axis=-1)
        return lowered - self.target_weight * raised

    def missing(self, scores: Scores, aim: Aim) -> Tensor:
        """What the target lacks to the confidence, in logits of its probability, `(batch,)`; at least 0."""
        raised = _at(scores.logits, aim["target"])
        if self.units > 1:
            others = scores.logits - _taken(aim["target"], self.classes)
            raised -= tf.reduce_logsumexp(others, axis=-1)
        wanted = math.log(self.confidence + _HAIR) - math.log(1 - self.confidence - _HAIR)
        return tf.nn.relu(wanted - raised)

    def reached(self, scores: Scores, aim: Aim) -> Tensor:
        """Whether the target class is predicted with confidence, bool `(batch,)`."""
        sure = _at(scores.outputs, aim["target"]) >= self.confidence + _HAIR
        return sure & self.flipped(scores, aim)

    def flipped(self, scores: Scores, aim: Aim) -> Tensor:
        """Whether the target class is predicted, bool `(batch,)`."""
        return predicted_classes(scores.logits) == aim["target"]

    def agree(self, one: Scores, other: Scores, aim: Aim) -> Tensor:
        """Whether two readings predict the same class, bool `(batch,)`."""
        return predicted_classes(one.logits) == predicted_classes(other.logits)

    def _best_but(self, classes: Tensor, scores: Scores) -> Tensor:
        return predicted_classes(scores.logits - _taken(classes, self.classes))


@dataclass(frozen=True)
class CutoffDecision:
    """Algorithm 1 of Seah et al. (2018): one output is lowered, or raised, to a cutoff.

    Their line 6, "until y > ρ" while y is lowered, is a misprint (ρ is also listed as the weight of the
    similarity, which line 5 calls γ); the search ends as soon as y is at the cutoff or beyond. A sigmoid is
    undone for the gradient and kept for the cutoff.

    Args:
        network: The regressor.
        cutoff: Value to reach where none is asked for.
        direction: `"lower"` or `"raise"`.
        squashed: Whether it ends in a sigmoid.
    """

    network: Network
    cutoff: float | None
    direction: Literal["lower", "raise"]
    squashed: bool

    task: ClassVar[Literal["regression"]] = "regression"

    def read(self, inputs: Tensor) -> Scores:
        """Runs the regressor."""
        forward = self.network.forward(inputs)
        logits = forward.logits[:, -1:]
        return Scores(logits, tf.sigmoid(logits) if self.squashed else logits)

    def aim(self, seen: Scores, start: Scores, target: Tensor) -> Aim:
        """Returns the cutoffs, NaN standing for the usual one."""
        usual = float("nan") if self.cutoff is None else self.cutoff
        chosen = tf.where(tf.math.is_nan(target), usual, target)
        return {"target": chosen, "predicted": seen.outputs[:, 0]}

    def losses(self, scores: Scores, aim: Aim) -> Tensor:
        """What the search lowers, `(batch,)`."""
        return self._sign * scores.logits[:, 0]

    def missing(self, scores: Scores, aim: Aim) -> Tensor:
        """What the output lacks to the cutoff, in logits for a sigmoid, `(batch,)`; at least 0."""
        wanted = aim["target"]
        if self.squashed:
            wanted = tf.math.log(wanted) - tf.math.log1p(-wanted)
        return tf.nn.relu(self._sign * (scores.logits[:, 0] - wanted))

    def reached(self, scores: Scores, aim: Aim) -> Tensor:
        """Whether the output is at the cutoff or beyond, bool `(batch,)`."""
        hair = _HAIR * tf.maximum(tf.abs(aim["target"]), 1.0)
        return self._sign * (scores.outputs[:, 0] - aim["target"]) <= -hair

    def flipped(self, scores: Scores, aim: Aim) -> Tensor:
        """The same as `reached`: a cutoff knows no confidence."""
        return self.reached(scores, aim)

    def agree(self, one: Scores, other: Scores, aim: Aim) -> Tensor:
        """Whether two readings lie on the same side of the cutoff, bool `(batch,)`."""
        return self.reached(one, aim) == self.reached(other, aim)

    @property
    def _sign(self) -> float:
        return 1.0 if self.direction == "lower" else -1.0


Decision: TypeAlias = "ClassDecision | CutoffDecision"


def decision_of(
    classifier: keras.Model, inputs: tuple[int, ...], settings: RationaleSettings
) -> Decision:
    """Returns the decision of a classifier or regressor.

    Args:
        classifier: A built Keras model of one output.
        inputs: Shape of one of its inputs.
        settings: What is asked of it; see `ClassDecision` and `CutoffDecision`. The task `"auto"` takes a
            single output for a regressor if a `cutoff` is given or it does not end in a sigmoid.

    Raises:
        ValueError: If no logits can be found, a regressor has several outputs, or a cutoff is given for
            several classes.
    """
    task, cutoff = settings.task, settings.cutoff
    network, units, squashed = examined(classifier, inputs)
    if task == "auto":
        single = units == 1 and (cutoff is not None or not squashed)
        task = "regression" if single else "classification"
    if task == "regression":
        if units != 1:
            raise ValueError(
                f"A regressor must have one output. {classifier.name!r} has {units}; cut one out."
            )
        if squashed and cutoff is not None and not 0 < cutoff < 1:
            raise ValueError(
                f"`cutoff` must lie between 0 and 1 for {classifier.name!r}, which ends in a sigmoid. "
                f"Received: {cutoff}."
            )
        return CutoffDecision(network, cutoff, settings.direction, squashed)
    if cutoff is not None:
        raise ValueError(
            f"`cutoff` is for one output, and {classifier.name!r} has {units} classes, for which there is "
            f"`confidence`. Received: {cutoff}."
        )
    search = settings.search
    return ClassDecision(network, units, settings.confidence, search.target_weight, search.leave)


def examined(classifier: keras.Model, inputs: tuple[int, ...]) -> tuple[Network, int, bool]:
    """Returns the classifier as a network, its units, and whether it ends squashed.

    Args:
        classifier: A built Keras model.
        inputs: Shape of one of its inputs.

    Raises:
        ValueError: If it has several outputs or positions, or no logits can be found for several units.
    """
    shapes: list[Any] = []
    squashings: list[str | None] = []

    def run(x: Tensor) -> None:
        shapes.append(tf.nest.map_structure(lambda t: t.shape, classifier(x, training=False)))

    def look(x: Tensor) -> None:
        squashings.append(network.forward(x).squashing)

    spec = tf.TensorSpec((None, *inputs), tf.float32)
    tf.function(run, autograph=False).get_concrete_function(spec)
    if not isinstance(shapes[0], tf.TensorShape) or shapes[0].rank != 2:
        raise ValueError(
            f"{classifier.name!r} must have one output of shape (samples, classes). It has {shapes[0]}."
        )
    units, network = int(shapes[0][1]), Network(classifier)
    try:
        tf.function(look, autograph=False).get_concrete_function(spec)
    except ValueError:
        if units != 1:
            raise
        return (
            Network(classifier, score="output"),
            1,
            False,
        )  # a regressor's ReLU is part of its value
    return network, units, squashings[0] is not None


def _taken(classes: Tensor, count: int) -> Tensor:
    """Takes a class out of the others' competition when it is subtracted."""
    return tf.one_hot(classes, count, on_value=float("inf"), off_value=0.0)


def _at(values: Tensor, classes: Tensor) -> Tensor:
    return tf.gather(values, classes, axis=1, batch_dims=1)
