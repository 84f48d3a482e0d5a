"""Which step follows which?"""
