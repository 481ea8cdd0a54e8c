"""What leaves the house or is made of what stands below: mail, templates."""
