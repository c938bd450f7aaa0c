"""What each figure asks of its runs: the numbers compared, and the paper's claims about them; a module a figure."""
