"""The ops that are registered in this process, from TensorFlow's C API."""

import ctypes
import pathlib

import tensorflow as tf
from tensorflow.core.framework import op_def_pb2


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


def ops() -> dict[str, op_def_pb2.OpDef]:
    """Definitions by name."""
    path = pathlib.Path(tf.sysconfig.get_lib(), "libtensorflow_cc.so.2")
    library = ctypes.CDLL(str(path))
    library.TF_GetAllOpList.restype = ctypes.POINTER(_Buffer)
    buffer = library.TF_GetAllOpList()
    content = ctypes.string_at(buffer.contents.data, buffer.contents.length)
    library.TF_DeleteBuffer(buffer)
    return {op.name: op for op in op_def_pb2.OpList.FromString(content).op}
