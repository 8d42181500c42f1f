"""Items and events: their schemas and files, their validation, and changes to items."""
