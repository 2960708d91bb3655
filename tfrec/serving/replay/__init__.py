"""Request logs, and warm-up records made of them: `python -m tfrec.serving.replay`."""
