"""What a network has learned: its filters, what activates them, influential examples, its loss surface."""

__all__: list[str] = []
