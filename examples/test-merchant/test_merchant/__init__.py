"""A merchant's webhook receiver, to read and to copy: verify, answer at once, act once."""
