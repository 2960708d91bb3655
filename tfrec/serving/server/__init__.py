"""A model server with TensorFlow Serving's protocol: `python -m tfrec.serving.server`.

A front process answers gRPC and REST and passes requests, unparsed, to a worker
process for each version of a model: a version that ends gives all its memory back, and
one that crashes takes nothing else down.
"""
