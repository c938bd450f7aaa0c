"""Figures: numbers in, a matplotlib `Figure` out; nothing is computed here that is drawn. A module a figure."""
