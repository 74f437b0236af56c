"""What `td.jit` is made of: trace, program, passes, plan, and an emitter for each backend."""
