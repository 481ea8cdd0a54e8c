"""Mail: what happened, told to the people whom it concerns."""
