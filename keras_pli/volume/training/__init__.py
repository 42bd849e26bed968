"""Networks for volumes, what changes volumes in training, and training judged on unseen subjects."""
