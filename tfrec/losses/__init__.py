"""Losses that papers share: plain functions of logits."""
