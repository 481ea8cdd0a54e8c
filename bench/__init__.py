"""Measurements, side by side on this machine: `python -m bench`. Ratios are what counts; figures are of one machine."""
