"""What several test files share: configs, runs, models, images and tables made for a test."""
