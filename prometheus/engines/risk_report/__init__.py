"""How much can the target portfolio lose, and through what?"""
