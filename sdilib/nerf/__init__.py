"""A neural radiance field over a hash grid, rendered on CPU and on CUDA, and its regularisers."""
