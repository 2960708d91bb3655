"""Industrial recommender systems reproduced on stock TensorFlow.

Importing the package loads neither TensorFlow nor the op library: the submodules do so
when they are imported, and the ops when the first of them is called.
"""

__version__ = "0.1.0"
