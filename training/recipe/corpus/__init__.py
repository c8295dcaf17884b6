"""Where the concepts come from: written lists, labelled sets, the shipped policies."""
