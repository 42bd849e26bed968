"""Tables of images: checked, divided without leaking, streamed."""
