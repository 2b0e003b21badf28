"""Ranks of a large sharded model, each filled by itself: what it takes, and whether it is right."""
