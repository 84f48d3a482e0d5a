"""What should be held for the next session, and which limits shaped it?"""
