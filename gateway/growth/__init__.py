"""Grow a believable past for the demo merchants: for pages to be looked at, in test mode only.

`business` makes up payments, refunds and their events; `people` who pays and what for; `receivers` what became of the
deliveries; `write` puts all of it down in one transaction. Deterministic for a seed and a moment.
"""
