"""HTTP: routes, bodies, errors and the service that BentoML runs."""
