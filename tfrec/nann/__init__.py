"""NANN: graph retrieval with a neural metric (Chen et al., CIKM 2022)."""
