"""The recipe of the built-in model: from labelled text to a checkpoint in the published layout."""
