"""Training runs: promotion, retraining, model cards, charts in MLflow."""
