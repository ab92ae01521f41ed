"""What pages read: rows of one merchant, bounded, by index."""
