"""A load generator for model servers: `python -m tfrec.serving.load`."""
