"""The pipelines that come with the package: what does a desk run every night?"""
