"""The laboratory: what makes evidence with the library, and judges it."""
