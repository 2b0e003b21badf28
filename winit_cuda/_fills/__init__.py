"""What is written: the numbers of each fill, their checks, and the entry of the core for it."""
