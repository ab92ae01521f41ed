"""Measure Ledgate against peers in the same run on the same machine: ratios, never absolute times."""
