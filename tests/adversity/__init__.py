"""Bad input of every kind, sent to a real server.

Each test ends with the same questions (`victim.Victim.check`): does the server still answer, is
its log free of tracebacks, is its memory bounded, are all watchers gone?
"""
