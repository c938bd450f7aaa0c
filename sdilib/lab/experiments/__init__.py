"""The paper's experiments, one module per figure: its numbers, its claims, its drawing."""
