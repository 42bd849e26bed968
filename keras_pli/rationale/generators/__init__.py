"""Networks that make images from latent codes, their training, and encoders back to codes."""
