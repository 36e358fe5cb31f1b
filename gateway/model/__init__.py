"""The frozen values that every part shares, by subject. Standard library only."""
