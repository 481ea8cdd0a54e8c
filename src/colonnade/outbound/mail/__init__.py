"""Mail: what happened, told to the people whom it concerns.

A fact queues ids; a worker writes the mail when it sends it, in the agency's name, by SMTP or into a folder.
"""

from colonnade.outbound.mail.model import MailOptions, SmtpServer, sender_address
from colonnade.outbound.mail.store import states

__all__ = ["MailOptions", "SmtpServer", "sender_address", "states"]
