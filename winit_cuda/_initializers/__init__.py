"""Initializers as plain data: which law a tensor is to have, apart from the tensor."""
