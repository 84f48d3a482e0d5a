"""Which regime is the market in tonight, judged by what was known tonight?"""
