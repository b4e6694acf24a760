"""What happens between a gradient and a weight: clipping rules and learning-rate schedules."""
