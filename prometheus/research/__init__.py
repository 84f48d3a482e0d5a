"""What would this desk have earned, how good were its decisions, and can an old one be made again as it was?"""
