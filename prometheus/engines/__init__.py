"""The desk's judgement: from what is known tonight, what should be held, and why?"""
