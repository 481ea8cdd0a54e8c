"""Templates: named, versioned sets of settings, brand and content, and what workspaces have made of them."""
