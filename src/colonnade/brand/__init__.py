"""What lives inside one workspace: its content, and later its keywords, outreach and citations."""
