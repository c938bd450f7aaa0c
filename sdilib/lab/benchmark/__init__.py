"""Methods compared: their settings as data, the runs of a table, its statistics, and a rule of one's own beside them."""
