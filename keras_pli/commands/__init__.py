"""The families of commands that `keras_pli.cli` puts together."""
