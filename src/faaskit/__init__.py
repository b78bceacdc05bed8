"""AWS Lambda's model as a Python library."""
