"""The tests, in the rooms of src/gradlab; what several of them share is in tests.support."""
