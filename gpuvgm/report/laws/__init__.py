"""Laws that the original table obeys, and in how many rows of both tables each of them holds."""
