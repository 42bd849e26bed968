"""What is tried before training: how far a layer can follow, what a pilot reaches, which λ does no harm."""
