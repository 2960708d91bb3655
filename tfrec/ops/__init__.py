"""The custom ops, each with a twin in pure TensorFlow, and auto-padding."""

from tfrec.ops._library import library_path, load_library
from tfrec.ops.bitmap import empty_bitmap
from tfrec.ops.bucket_grid import bucket_grid
from tfrec.ops.bucketed import bucketed
from tfrec.ops.bucketed_layer import Bucketed
from tfrec.ops.graph_expand import graph_expand, graph_expand_reference
from tfrec.ops.path_top_k import path_top_k, path_top_k_reference
from tfrec.ops.visited_insert import visited_insert, visited_insert_reference

__all__ = [
    "Bucketed",
    "bucket_grid",
    "bucketed",
    "empty_bitmap",
    "graph_expand",
    "graph_expand_reference",
    "library_path",
    "load_library",
    "path_top_k",
    "path_top_k_reference",
    "visited_insert",
    "visited_insert_reference",
]
