"""Auto-padding: XLA-compiled functions of a dimension whose size varies.

XLA compiles a program for every combination of shapes that it meets, and a size
not seen before costs a request some hundred milliseconds. `bucketed` pads the
dimension to the next size of a fixed grid, calls the compiled function and slices
its outputs, so the number of compilations is bounded by the grid.

Source: Chen et al. 2022, section 4.2.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfrec.ops.bucket_grid import check_bucket_sizes, next_bucket

Axis = int | None | Sequence[int | None]


def _common_axis(axis: Axis) -> int:
    """The axis of the outputs, where only the axes of the arguments are known."""
    named = axis if isinstance(axis, Sequence) else [axis]
    axes = {a for a in named if a is not None}
    if len(axes) != 1:
        raise ValueError(
            "`output_axis` must be given where `axis` does not name exactly one axis. "
            f"Received: axis={axis}"
        )
    return axes.pop()


def _pair(value: Any, axis: Axis, thing: str) -> list[tuple[Any, int | None]]:
    """Gives each tensor of a nest its axis: `axis` is one for all or one per part."""
    if not isinstance(axis, Sequence):
        return [(leaf, axis) for leaf in tf.nest.flatten(value)]
    if not isinstance(value, (tuple, list)) or len(value) != len(axis):
        count = len(value) if isinstance(value, (tuple, list)) else 1
        raise ValueError(
            f"`{thing}` must have one entry for each of the {count} values. "
            f"Received: {thing}={axis}"
        )
    return [
        (leaf, a)
        for part, a in zip(value, axis, strict=True)
        for leaf in tf.nest.flatten(part)
    ]


def _positive_axis(tensor: tf.Tensor, axis: int, thing: str) -> int:
    rank = tensor.shape.rank
    if rank is None or not -rank <= axis < rank:
        raise ValueError(
            f"`{thing}` must be within the known rank of its tensor. "
            f"Received: {thing}={axis} for shape={tensor.shape}"
        )
    return axis % rank


class _BucketedFunction:
    """The callable that `bucketed` returns; see there."""

    def __init__(
        self,
        fn: Callable[..., Any],
        bucket_sizes: tuple[int, ...],
        axis: Axis,
        output_axis: Axis,
        jit_compile: bool,
        pass_mask: bool,
    ):
        self.__name__ = f"bucketed_{getattr(fn, '__name__', type(fn).__name__)}"
        self.bucket_sizes = bucket_sizes
        self._axis = axis
        self._output_axis = output_axis
        self._pass_mask = pass_mask
        self._fn = fn
        self._compiled: Any = None
        if jit_compile:

            def compiled(args: tuple, kwargs: dict) -> Any:
                return fn(*args, **kwargs)

            compiled.__name__ = self.__name__
            self._compiled = tf.function(
                compiled, jit_compile=True, reduce_retracing=True
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        pairs = [
            (None if leaf is None else tf.convert_to_tensor(leaf), axis)
            for leaf, axis in _pair(args, self._axis, "axis")
        ]
        dynamic = [
            (leaf, _positive_axis(leaf, axis, "axis"))
            for leaf, axis in pairs
            if leaf is not None and axis is not None
        ]
        if not dynamic:
            raise ValueError(
                "`axis` must name a dimension of at least one tensor. "
                f"Received: axis={self._axis} for {len(args)} arguments"
            )
        size = _shared_size(dynamic)
        bucket = next_bucket(size, self.bucket_sizes)
        padded = [
            x if x is None or axis is None else _pad(x, axis, size, bucket)
            for x, axis in pairs
        ]
        if self._pass_mask:
            kwargs = {**kwargs, "is_real": tf.sequence_mask(size, bucket)}
        nested = tf.nest.pack_sequence_as(args, padded)
        if self._compiled is None:
            outputs = self._fn(*nested, **kwargs)
        else:
            axes = [axis for _, axis in pairs]
            outputs = self._trace(args, padded, axes, kwargs)(nested, kwargs)
        return self._slice(outputs, size, bucket)

    def _trace(self, args: Any, padded: list, axes: list, kwargs: dict) -> Any:
        """One trace whatever the size: all callers in a graph share its programs."""
        specs = [
            None if x is None else tf.TensorSpec(_free(x.shape, axis), x.dtype)
            for x, axis in zip(padded, axes, strict=True)
        ]
        named = dict(kwargs)
        if self._pass_mask:
            named["is_real"] = tf.TensorSpec((None,), tf.bool)
        nested = tf.nest.pack_sequence_as(args, specs)
        return self._compiled.get_concrete_function(nested, named)

    def _slice(self, outputs: Any, size: Any, bucket: Any) -> Any:
        flat = [
            leaf if axis is None else _unpad(leaf, axis, size, bucket)
            for leaf, axis in _pair(outputs, self._output_axis, "output_axis")
        ]
        return tf.nest.pack_sequence_as(outputs, flat)


def _free(shape: tf.TensorShape, axis: int | None) -> tf.TensorShape:
    """The shape with the dynamic dimension unknown."""
    if axis is None:
        return shape
    dims = shape.as_list()
    dims[axis] = None
    return tf.TensorShape(dims)


def _shared_size(dynamic: list[tuple[tf.Tensor, int]]) -> int | tf.Tensor:
    """The size that all dynamic dimensions share: an int where one is static."""
    static = {leaf.shape[axis] for leaf, axis in dynamic} - {None}
    if len(static) > 1:
        raise ValueError(
            "`axis` must name dimensions of one size. "
            f"Received: shapes {[tuple(leaf.shape) for leaf, _ in dynamic]}"
        )
    sizes = [tf.shape(leaf)[axis] for leaf, axis in dynamic if leaf.shape[axis] is None]
    size = static.pop() if static else sizes.pop()
    message = "`axis` must name dimensions of one size"
    checks = [tf.debugging.assert_equal(s, size, message=message) for s in sizes]
    if isinstance(size, int):
        return size
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.identity(size)


def _pad(tensor: tf.Tensor, axis: int, size: Any, bucket: Any) -> tf.Tensor:
    """Appends zeros; where there is nothing to add the buffer is passed on."""
    if isinstance(size, int) and size == bucket:
        return tensor
    axis %= tensor.shape.rank
    after = [0] * tensor.shape.rank
    after[axis] = bucket - size
    padded = tf.pad(tensor, [[0, count] for count in after])
    shape = tensor.shape.as_list()
    shape[axis] = bucket if isinstance(bucket, int) else None
    padded.set_shape(shape)
    return padded


def _unpad(tensor: tf.Tensor, axis: int, size: Any, bucket: Any) -> tf.Tensor:
    axis = _positive_axis(tensor, axis, "output_axis")
    found = tensor.shape[axis]
    found = tf.shape(tensor)[axis] if found is None else found
    check = tf.debugging.assert_equal(
        found,
        bucket,
        message="`output_axis` must name a dimension of the padded size",
    )
    if isinstance(size, int) and size == bucket:
        return tensor
    with tf.control_dependencies([] if check is None else [check]):
        index = [slice(None)] * axis + [slice(size)]
        return tensor[tuple(index)]


def bucketed(
    fn: Callable[..., Any],
    bucket_sizes: Sequence[int],
    axis: Axis = 0,
    *,
    output_axis: Axis | str = "same",
    jit_compile: bool = True,
    pass_mask: bool = False,
) -> Callable[..., Any]:
    """Wraps a function of one dynamic dimension so that few sizes reach XLA.

    Arguments are padded with zeros to the next size of the grid, `fn` runs compiled
    by XLA, outputs are sliced back. A size on the grid is neither padded nor copied.
    For two dimensions that vary on their own, wrap twice, the outer time with
    `jit_compile=False`: the number of programs is the product of the grids.

    Args:
        fn: takes tensors or nests of tensors, returns a nest of tensors. Outputs at
            real places must not depend on the padded ones, unless `pass_mask`.
        bucket_sizes: growing sizes, see `bucket_grid`. Above the largest: its next
            multiple. An empty dimension is padded to the smallest.
        axis: the dynamic dimension: one int for all tensors of all arguments, or one
            entry per positional argument, None for arguments that are left alone.
            All named dimensions have the same size. Keyword arguments are left alone.
        output_axis: the same for the outputs: one for all, or one entry per output;
            None for outputs that lost the dimension. "same": the axis of the
            arguments.
        jit_compile: False pads and slices alike but calls `fn` as it is.
        pass_mask: calls `fn` with `is_real`, bool `(size,)`, True where a place is not
            a pad: for a `fn` that reduces over the dimension.
    Returns: a callable of the same arguments; works eagerly, in `tf.function` and in a
        SavedModel.
    Raises: ValueError: malformed sizes or axes, static sizes that disagree.
        InvalidArgumentError: sizes that disagree at run time, an output without the
        padded dimension.
    Source: Chen et al. 2022, section 4.2.
    """
    if not callable(fn):
        raise ValueError(f"`fn` must be callable. Received: {fn!r}")
    if isinstance(output_axis, str):
        if output_axis != "same":
            raise ValueError(
                '`output_axis` must be "same", None, an int or a sequence of these. '
                f"Received: {output_axis!r}"
            )
        output_axis = _common_axis(axis)
    return _BucketedFunction(
        fn, check_bucket_sizes(bucket_sizes), axis, output_axis, jit_compile, pass_mask
    )
