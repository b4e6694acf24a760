"""From a built network to what theory predicts of it."""
