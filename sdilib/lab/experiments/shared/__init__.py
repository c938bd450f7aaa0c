"""Code that the experiments share; they import nothing else from each other."""
