"""What `td.export` is made of: a traced program as a file that others run without this package."""
