"""A GAN whose codes have a part for an image's structure and one for its class, as a classifier sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ...checks import checked_number, finite_array
from ...replicas import ReplicaRows, share_of_mean
from ..generators.adversarial_model import AdversarialModel
from ..generators.batches import number_of_all
from ..generators.networks import dcgan_critic, dcgan_generator
from ..model_shapes import input_shape
from ..search.class_reader import ClassReader
from .class_codes import ClassCodes, CodeScheme

if TYPE_CHECKING:
    from .inversion import Inversion
    from .traversal import Traversal

Tensor = Any
Array = NDArray[np.float32]


@keras.saving.register_keras_serializable(package="keras_pli")
class ClassLatentGAN(AdversarialModel):
    """Trains a generator that draws what a frozen classifier takes for each class.

    A code is a structure code z₁ ~ N(0, I) and a class code z₂, zero for the negative class and ~ N(0, I) for
    the positive one (more classes: see `CodeScheme`). The generator G, a discriminator D that only tells real
    from generated, and the classifier's probabilities p_c are trained for

        min_G max_D  E[log D(x)] + E[log(1 − D(G(z₁, y)))] − E[log p_c(y | G(z₁, y))]

    (Dravid & Katsaggelos, "Visual Explanations for Convolutional Neural Networks via Latent Traversal of
    Generative Adversarial Networks", 2022, equation 1). Labels of real images are not needed.

    The third term is the cross-entropy on the classifier's logits. The second is lowered by G in its
    non-saturating form, −log D(G), whose gradient does not vanish while D is right (Goodfellow et al. 2014,
    section 3). The default networks depart from the DCGAN that is usual: SELU activations and no batch
    normalisation, whose statistics would make an image depend on the others of its batch, and an inversion of
    one image impossible to tell from the batch that it is in.

    Args:
        classifier: A built Keras model from images to classes: a softmax, a sigmoid, or logits. It is read
            in inference mode and never changed.
        image_shape: Shape of an image; None takes the classifier's.
        structure_size: Length of z₁.
        block_size: Length of the class code of two classes, and of one class's block of it for more.
        width: Width of the default networks, see `dcgan_generator` and `dcgan_critic`.
        generator: Any built Keras model from codes (z₁ before z₂) to images, in place of the default one.
        discriminator: Any built Keras model from images to one logit, `(samples, 1)`, in place of it.
        class_weight: Weight of the third term; 1 in equation 1.
        penalty_weight: Weight γ/2 of E‖∇D(x)‖² at real images, which lets small GANs converge (Mescheder et
            al. 2018, "Which Training Methods for GANs do actually Converge?", R₁); 0 is equation 1 alone.
        class_shares: Share of each class among generated images, p_y; None for equal ones. Where it is far
            from that of the real images, discriminator and classifier pull in different directions.
        average_decay: Share kept at each step of a running average of the generator's weights, such as
            0.999; None for no average. See `best_generator`.
        value_range: The range that images must be in, or None to take any.
        seed: Seed of the initial weights and of every draw.

    Raises:
        ValueError: If networks or sizes do not fit each other, or shares are no distribution.
        TypeError: If a network is not a Keras model.

    Example:
        >>> images = np.random.default_rng(0).uniform(-1, 1, (64, 16, 16, 1))
        >>> head = [keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
        >>> classifier = keras.Sequential([keras.Input((16, 16, 1)), *head])
        >>> gan = ClassLatentGAN(classifier, structure_size=8, block_size=2, width=4)
        >>> history = gan.fit(images, epochs=1, batch_size=16, verbose=0)
        >>> sorted(history.history)
        ['agreement', 'class_loss', 'discriminator_loss', 'generator_loss']
        >>> z1, _, _ = gan.sample_codes(3, seed=1)
        >>> gan.generate(z1, 0).shape, gan.generate(z1, [1, 1, 0]).shape
        ((3, 16, 16, 1), (3, 16, 16, 1))
    """

    adversary_name = "discriminator"
    logged = ("discriminator_loss", "generator_loss", "class_loss", "agreement")

    def __init__(
        self,
        classifier: keras.Model,
        image_shape: Sequence[int] | None = None,
        *,
        structure_size: int = 100,
        block_size: int = 10,
        width: int = 64,
        generator: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        class_weight: float = 1.0,
        penalty_weight: float = 0.5,
        class_shares: Sequence[float] | None = None,
        average_decay: float | None = None,
        value_range: tuple[float, float] | None = (-1.0, 1.0),
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        if image_shape is None:
            image_shape = input_shape(classifier, "classifier")
        super().__init__(
            image_shape,
            average_decay=average_decay,
            value_range=value_range,
            seed=seed,
            **kwargs,
        )
        self.class_weight = checked_number(class_weight, "class_weight", least=0.0)
        self.penalty_weight = checked_number(penalty_weight, "penalty_weight", least=0.0)
        self._reader = ClassReader(classifier, self.image_shape)
        self.classifier, self.classes = classifier, self._reader.classes
        block_size = checked_number(block_size, "block_size", least=1, whole=True)
        latent_size = structure_size + block_size * (self.classes - 1)
        self.class_shares = _checked_shares(class_shares, self.classes)
        start = self._weights_key
        generator = generator or dcgan_generator(
            self.image_shape, latent_size=latent_size, width=width, seed=start
        )
        self.discriminator = discriminator or dcgan_critic(
            self.image_shape, width=width, seed=start
        )
        self._begin(generator, self.discriminator)
        (latent_size,) = input_shape(generator, "generator")
        self.scheme = CodeScheme.of(latent_size, structure_size, self.classes)

    def sample_codes(
        self, count: int, labels: ArrayLike | None = None, *, seed: int = 0
    ) -> ClassCodes:
        """Returns random codes, the same for the same seed.

        Args:
            count: How many.
            labels: A class, or one for each; None draws them by `class_shares`.
            seed: Seed of the codes.

        Returns:
            `ClassCodes`: `z1` of `(count, structure_size)`, `z2` of `(count, class_size)`, and `labels`.

        Raises:
            ValueError: If `count` is less than 1, or a label is not a class.
        """
        count = checked_number(count, "count", least=1, whole=True)
        if labels is None:
            chosen = self.scheme.labels(count, self.class_shares, seed, 1).numpy()
        else:
            chosen = self.scheme.checked_labels(labels, count)
        z1, z2 = self.scheme.parts(self.scheme.drawn(chosen, seed, 0).numpy())
        return ClassCodes(z1, z2, chosen)

    def generate(
        self, z1: ArrayLike, labels: ArrayLike, *, seed: int = 0, batch_size: int = 256
    ) -> Array:
        """Returns images of structures in classes, with random class codes; see `best_generator`.

        Args:
            z1: Structure codes, `(samples, structure_size)`.
            labels: A class, or one for each sample.
            seed: Seed of the class codes.
            batch_size: Images drawn at a time.

        Raises:
            ValueError: If codes are of another length, or a label is not a class.
        """
        given = finite_array(z1, "z1", ndim=2)
        z2 = self.sample_codes(len(given), labels, seed=seed).z2
        return self.decode(given, z2, batch_size=batch_size)

    def decode(self, z1: ArrayLike, z2: ArrayLike, *, batch_size: int = 256) -> Array:
        """Returns the images G(z₁, z₂), by the `best_generator`.

        Raises:
            ValueError: If codes are of other lengths or numbers.
        """
        codes = self.scheme.joined(z1, z2)
        return np.asarray(
            self.best_generator.predict(codes, batch_size=batch_size, verbose=0), np.float32
        )

    def invert(self, images: ArrayLike, **settings: Any) -> Inversion:
        """Finds codes of images; see `keras_pli.rationale.invert` for the settings."""
        from .inversion import invert

        return invert(self, self.classifier, images, **settings)

    def traverse(self, z1: ArrayLike, z2: ArrayLike, **settings: Any) -> Traversal:
        """Draws the ways from z₂ = 0; see `keras_pli.rationale.traverse` for the settings."""
        from .traversal import traverse

        return traverse(self, self.classifier, z1, z2, **settings)

    def train_step(self, images: Tensor) -> dict[str, Tensor]:
        """Updates the discriminator, and then the generator on codes of its own."""
        rows = ReplicaRows.even(tf.shape(images)[0])
        codes, _ = self._draws(rows, self._training_key, 2 * self.steps_done)
        loss = self._update_discriminator(images, codes)
        codes, labels = self._draws(rows, self._training_key, 2 * self.steps_done + 1)
        fooling, class_loss, agreement = self._update_generator(codes, labels)
        with tf.control_dependencies(
            [fooling]
        ):  # no step is counted that finds the data at their end
            self.steps_done.assign_add(1)
        return self._logged(
            discriminator_loss=loss,
            generator_loss=fooling,
            class_loss=class_loss,
            agreement=agreement,
        )

    def test_step(self, data: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Compares numbered batches of images with generated ones; nothing is updated."""
        images, number = data
        rows = ReplicaRows.of(tf.shape(images)[0])
        codes, labels = self._draws(rows, self._validation_key, number_of_all(number))
        fakes = self.generator(codes, training=False)
        of_real, of_fakes = (self.discriminator(x, training=False) for x in (images, fakes))
        class_loss, agreement = self._class_terms(fakes, labels)
        return self._logged(
            discriminator_loss=_mean_loss(of_real, real=True) + _mean_loss(of_fakes, real=False),
            generator_loss=_mean_loss(of_fakes, real=True),
            class_loss=class_loss,
            agreement=agreement,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        networks = {name: getattr(self, name) for name in _NETWORKS}
        return {
            "name": self.name,
            "image_shape": list(self.image_shape),
            "structure_size": self.scheme.structure_size,
            "block_size": self.scheme.block_size,
            "class_weight": self.class_weight,
            "penalty_weight": self.penalty_weight,
            "class_shares": list(self.class_shares),
            "average_decay": self.average_decay,
            "value_range": None if self.value_range is None else list(self.value_range),
            "seed": self.seed,
        } | {name: keras.saving.serialize_keras_object(one) for name, one in networks.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ClassLatentGAN:
        """Makes the model that `get_config` describes."""
        networks = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in _NETWORKS
        }
        return cls(**{**config, **networks})

    def _update_discriminator(self, images: Tensor, codes: Tensor) -> Tensor:
        fakes = self.generator(codes, training=True)
        with tf.GradientTape() as tape:
            of_real = _mean_loss(self.discriminator(images, training=True), real=True)
            of_fakes = _mean_loss(self.discriminator(fakes, training=True), real=False)
            loss = of_real + of_fakes
            whole = loss
            if self.penalty_weight:
                whole += self.penalty_weight * self._steepness(images)
        self._update(self.adversary_optimizer, whole, tape, self.discriminator.trainable_variables)
        return loss

    def _update_generator(self, codes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with tf.GradientTape() as tape:
            fakes = self.generator(codes, training=True)
            fooling = _mean_loss(self.discriminator(fakes, training=True), real=True)
            class_loss, agreement = self._class_terms(fakes, labels)
            loss = fooling + self.class_weight * class_loss
        self._update(self.generator_optimizer, loss, tape, self.generator.trainable_variables)
        self._update_average()
        return fooling, class_loss, agreement

    def _class_terms(self, fakes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The cross-entropy on logits, and the share of images that are taken for their class."""
        logits = self._reader.logits(fakes)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        right = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), labels)
        return share_of_mean(losses), share_of_mean(tf.cast(right, tf.float32))

    def _steepness(self, images: Tensor) -> Tensor:
        """The mean squared length of the discriminator's gradient at real images."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            logits = self.discriminator(images, training=True)
        slopes = tape.gradient(logits, images)
        return share_of_mean(tf.reduce_sum(slopes**2, axis=list(range(1, images.shape.rank))))

    def _draws(self, rows: ReplicaRows, key: int, number: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of this replica's rows of a batch, and the classes that they are of."""
        number = tf.cast(number, tf.int64)
        labels = self.scheme.labels(rows.count, self.class_shares, key, 2 * number)
        codes = self.scheme.drawn(labels, key, 2 * number + 1)
        return rows.part(codes), rows.part(labels)


_NETWORKS = ("classifier", "generator", "discriminator")


def _mean_loss(logits: Tensor, *, real: bool) -> Tensor:
    """−log D, or −log(1 − D), on average, from the discriminator's logits; this replica's part of it."""
    return share_of_mean(tf.nn.softplus(-logits if real else logits))


def _checked_shares(shares: Sequence[float] | None, classes: int) -> tuple[float, ...]:
    given = np.full(classes, 1 / classes) if shares is None else np.asarray(shares, float)
    if given.shape != (classes,) or not (given >= 0).all() or not np.isclose(given.sum(), 1):
        raise ValueError(
            f"`class_shares` must be {classes} numbers, none negative, with the sum 1. Received: {shares!r}."
        )
    return tuple(float(share) for share in given)
