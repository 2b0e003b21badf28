"""Whole models: which law each parameter has, by name, and the fill of any instance by it."""
