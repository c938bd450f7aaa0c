"""Notebooks run by a program, and the figures they leave on disk."""
