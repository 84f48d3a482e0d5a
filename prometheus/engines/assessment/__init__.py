"""How attractive is each instrument for the next month, and which family of evidence says so?"""
