"""PEARL, the off-policy baseline: probabilistic context variables over soft actor-critic (arXiv 1903.08254)."""
