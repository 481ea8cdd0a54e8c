"""Faces: what people and other products see of the house; they enter the floors below by their verbs alone."""
