"""Models applied to a `ray.data.Dataset` by actors that keep one each."""
