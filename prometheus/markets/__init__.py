"""Facts about exchanges: when is a market open, and since when is that known?"""
