"""Others that do the same work, made to run beside ours. What they need is installed in a folder of its own here."""
