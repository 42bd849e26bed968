"""Messages of a page, and the session that they are about; the same for a server and for a notebook."""

from .conversation import Conversation
from .fields import Fields, Reply

__all__ = ["Conversation", "Fields", "Reply"]
