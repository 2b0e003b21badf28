"""Models that others wrote: what a plan reads of each, and whether that is what a build has."""
