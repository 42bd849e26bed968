"""Long work of a session, one at a time in a thread, and what it leaves behind."""
