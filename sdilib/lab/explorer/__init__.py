"""A distillation under a reader's hands, in a notebook."""
