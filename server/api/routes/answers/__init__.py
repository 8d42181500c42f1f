"""Routes that answer with items: searches, recommendations, shelves, batches, and documents put in order."""
