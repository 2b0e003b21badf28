"""From a checked call to written tensors: by the core, by ATen, or through an operator of torch."""
