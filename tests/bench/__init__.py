"""The parts of bench/ that can be wrong without anyone noticing: parsing and arithmetic."""
