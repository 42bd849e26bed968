"""What a person does in the studio, as Python objects: no HTTP in it, and no messages."""
