"""Commands for data scientists: train, evaluate, promote, policy, health."""
