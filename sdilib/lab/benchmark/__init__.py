"""Methods compared: the runs of a table, its statistics, and your own rule beside the others."""
