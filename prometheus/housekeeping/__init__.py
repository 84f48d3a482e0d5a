"""What is kept, for how long and in what shape, and how does what was put aside come back?"""
