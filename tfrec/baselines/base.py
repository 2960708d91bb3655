"""The contract that every neural baseline keeps, and how most of them are trained."""

from collections.abc import Mapping
from typing import Any, Protocol

import keras
import tensorflow as tf
from keras import ops

from tfrec.baselines.fields import FieldTables
from tfrec.data.negatives import Negatives
from tfrec.data.schema import Field, Schema

State = dict[str, Any]


class StepSeeds(Protocol):
    """The part of `tfrec.training.StepContext` that draws need."""

    def random_seed(self, stream: int = 0) -> tf.Tensor:
        """Seed for `tf.random.stateless_*`, int64 `(2,)`."""
        ...


class Baseline(keras.Model):
    """A scorer `score(user_state(features), item_vectors(items))`.

    Args:
        schema: of the batches.
        fields: what the model reads of them; each becomes an embedding table.
        embedding_size: width of each feature.
    """

    def __init__(self, schema: Schema, fields: tuple[Field, ...], embedding_size: int):
        super().__init__()
        self.schema = schema
        self.embed = FieldTables(fields, embedding_size)

    def user_state(self, features: Mapping[str, Any], training: bool = False) -> State:
        """Everything of a user that `score` needs, computed once a request.

        Args:
            features: `{"user": {...: (B,)}, "history": {...: (B, L)}}`, ids.
            training: apply dropout, where the model has it.
        Returns: a dict of tensors whose first dimension is B.
        """
        raise NotImplementedError

    def item_vectors(self, items: Mapping[str, Any]) -> Any:
        """Ids `(...)` of each candidate field -> `(..., D)`."""
        raise NotImplementedError

    def score(self, state: State, vectors: Any, training: bool = False) -> Any:
        """Logits float32 `(B, C)` of vectors `(B, C, D)` or, shared, `(C, D)`."""
        raise NotImplementedError

    def training_losses(
        self, batch: Mapping[str, Any], negatives: Negatives, context: StepSeeds
    ) -> dict[str, tf.Tensor]:
        """Sigmoid cross-entropy of a batch's positives and of items drawn beside them.

        A model that is trained in another way has its own.

        Args:
            batch: of the schema, candidates `(B, 1)`.
            negatives: draws S items a positive; those of weight 0 do not count.
            context: of the step.
        Returns: scalar means by name.
        """
        items, labels, weights = negatives.candidates(batch, context.random_seed())
        state = self.user_state(batch, training=True)
        logits = self.score(state, self.item_vectors(items), training=True)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
        return {"cross_entropy": tf.reduce_mean(weights * losses)}

    def _create_variables(self) -> None:
        zero = tf.zeros([1, 1], tf.int32)
        user = {field.name: zero[:, 0] for field in self.schema.user}
        history = {field.name: zero for field in self.schema.history}
        items = {field.name: zero for field in self.schema.candidates}
        state = self.user_state({"user": user, "history": history})
        self.score(state, self.item_vectors(items))
        self.built = True


class TwoTower(Baseline):
    """A baseline whose item side is a network and whose score is an inner product.

    Args:
        schema: of the batches.
        fields: what the user side reads; the item side reads the candidate fields.
        embedding_size: width of each feature.
        units: layers of each tower, the last is D.
    """

    def __init__(
        self,
        schema: Schema,
        fields: tuple[Field, ...],
        embedding_size: int,
        units: tuple[int, ...],
    ):
        super().__init__(schema, (*fields, *schema.candidates), embedding_size)
        self.user_tower = Tower(units, "user_tower")
        self.item_tower = Tower(units, "item_tower")

    def item_vectors(self, items: Mapping[str, Any]) -> Any:
        """The item tower: ids `(...)` of each candidate field -> `(..., D)`."""
        return self.item_tower(self.embed(items, fields=self.schema.candidates))

    def score(self, state: State, vectors: Any, training: bool = False) -> Any:
        """Inner products float32 `(B, C)`."""
        return inner_product(state["user"], vectors)


class Tower(keras.layers.Layer):
    """Dense layers with ReLU between them, none after the last; inputs of any rank."""

    def __init__(self, units: tuple[int, ...], name: str):
        super().__init__(name=name)
        *inner, last = units
        self.inner = [keras.layers.Dense(width, activation="relu") for width in inner]
        self.final = keras.layers.Dense(last)

    def call(self, inputs: Any) -> Any:
        """`(..., F)` -> `(..., D)`."""
        for layer in self.inner:
            inputs = layer(inputs)
        return self.final(inputs)


def inner_product(user_bd: Any, vectors: Any) -> Any:
    """Float32 `(B, C)` of item vectors `(B, C, D)` or, shared, `(C, D)`."""
    equation = "bd,cd->bc" if len(vectors.shape) == 2 else "bd,bcd->bc"
    return ops.cast(ops.einsum(equation, user_bd, vectors), "float32")
