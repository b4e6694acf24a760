"""Many runs of one shape trained side by side as one tensor program: an arm is one of them."""
