"""What may be wrong with a model: leakage, slices, intervals, uplift."""
