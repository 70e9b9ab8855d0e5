"""The schema's history: one numbered file per step in `versions/`, forward only, never changed once released."""
