"""Which part of a larger tensor a local tensor is."""
