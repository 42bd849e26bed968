"""The search in latent space that turns a prediction, and what it found."""
