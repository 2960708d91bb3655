"""Models that the papers are compared with, one file each."""
