"""Prepared tables, official-file readers, splits, samplers, sequences to tf.data."""

from tfrec.data.catalog import home, load, prepare
from tfrec.data.errors import DataError
from tfrec.data.prepared import PreparedDataset

__all__ = ["DataError", "PreparedDataset", "home", "load", "prepare"]
