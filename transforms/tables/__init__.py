"""Arrow schemas, and results as rows of them."""
