"""The Bayesian residual on the batch score: sums, posterior, versions, warm start."""
