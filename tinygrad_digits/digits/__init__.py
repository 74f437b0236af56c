"""The proof of work: a handwritten-digit classifier on the engine."""
