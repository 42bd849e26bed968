"""Training on several workers by `tf.distribute`: the strategy, and backups of such a training."""
