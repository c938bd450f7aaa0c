"""Score distillation with a frozen 2D diffusion model, and its reparametrisation as DDIM (SDI)."""

__version__ = "0.1.0"
