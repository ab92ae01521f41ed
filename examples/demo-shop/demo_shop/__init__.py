"""A small shop, to read and to copy: it prices on its server, pays through the SDK, and believes only webhooks."""
