"""From events and items to training batches."""
