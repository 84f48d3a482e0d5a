"""Real data beyond the panel: which published files hold it, and from which day could each value have been known?"""
