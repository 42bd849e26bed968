"""Reading a Keras model: its layers and logits, its traced operations, gradients by any rule, long arrays.

`layers`, `recording`, `logits` and `activations` run on every Keras backend; the rest needs TensorFlow. No
method lives here, and nothing here knows of one.
"""
