"""Compat: the wire shapes of other products over the verbs of this house. They translate; they decide nothing."""
