"""The data model: migrations with their way back, and the partitions of the histories."""
