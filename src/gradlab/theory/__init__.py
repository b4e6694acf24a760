"""What signal-propagation theory predicts of a network at initialization: plain numbers, no torch, no files."""
