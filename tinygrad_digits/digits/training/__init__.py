"""From data to parameters: recipe, optimiser, loop, and the estimator."""
