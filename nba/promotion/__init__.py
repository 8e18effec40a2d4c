"""How a challenger and a journey file come into force, and how they are taken back."""
