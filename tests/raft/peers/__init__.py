"""The connections between members."""
