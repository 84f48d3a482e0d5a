"""Raw market data: what came in for this session, and can it be trusted?"""
