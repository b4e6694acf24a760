"""Pages of the documentation that are generated from gradlab itself, and what tests read of the other pages."""
