"""What does each region of the world look like tonight: its regime, its fragility, what we hold there?"""
