"""What would become of tonight if something were otherwise?"""
