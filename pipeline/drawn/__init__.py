"""The program that draws faces."""
