"""How good a model's rankings are, and how close retrieval comes to brute force."""
