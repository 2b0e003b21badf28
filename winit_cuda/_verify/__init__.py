"""Whether weights have the distribution that was asked for."""
