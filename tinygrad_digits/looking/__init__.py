"""Looking at a gradient: recording, drawing, profiling, debugging and checking it."""
