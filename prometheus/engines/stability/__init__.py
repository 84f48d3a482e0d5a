"""Who could break tonight, how much would each lose in a storm, and whom should the desk not buy?"""
