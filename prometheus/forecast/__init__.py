"""What will happen tonight, if the scheduler goes on deciding as it does?"""
