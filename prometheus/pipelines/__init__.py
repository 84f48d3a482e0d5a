"""The language users declare in: what should run, for which session, and by when?"""
