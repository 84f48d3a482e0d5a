"""Which instruments may be held, and for what reason is each of the others left out?"""
