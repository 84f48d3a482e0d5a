"""What would the scheduler do, in virtual time?"""
