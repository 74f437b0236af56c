"""What differentiates. Read in this order: errors, tree, tape, tensor, primitive, transforms."""
