"""The model card: how a model of the world was made, how good it is, and what it cannot do."""

from sdilib.lab.model_card.card import quality_table, write_model_card

__all__ = ["quality_table", "write_model_card"]
