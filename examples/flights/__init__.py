"""The example of this project: how late do flights leave New York, and why?"""
