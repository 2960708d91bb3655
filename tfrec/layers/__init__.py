"""Keras layers that several papers share."""
