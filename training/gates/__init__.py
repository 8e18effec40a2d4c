"""Gates: what a challenger has to show before it may serve."""
