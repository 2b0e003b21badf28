"""Keys, and where the key of a call without key= comes from."""
