"""Readers of official raw files, one file a family."""
