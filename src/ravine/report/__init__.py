"""What a person looks at: studies as tables, in the terminal, in Jupyter and as one HTML page."""
