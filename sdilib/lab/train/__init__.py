"""Training of the bundled model: tokenizer, VAE, UNet with its text encoder."""
