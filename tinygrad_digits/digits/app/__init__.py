"""The program around the classifier: command line, page, comparisons."""
