"""What every room uses, and which knows nothing of autodiff: errors, trees, pickling, operands."""
