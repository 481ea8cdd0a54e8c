"""What every slice stands on: core (pure), outgoing, db, web. It knows no slice."""
