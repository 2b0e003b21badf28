"""Rules of common initializations: torch's own, of transformers, of widths, of gates."""
