"""The laboratory: experiments with the library, and the tools that judge their results."""
