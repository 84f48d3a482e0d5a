"""Is the night's record of decisions complete, and does all that it refers to exist?"""
