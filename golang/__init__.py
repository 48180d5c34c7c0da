"""What Go says of texts, and how it reads them, wherever that reaches the wire or a terminal.

etcd, etcdctl and flanneld are Go programs, and people and scripts know their words: `quoting` is
%q, `json_scanner` is encoding/json's complaint about a text that is not JSON, `json_text` reads one
as Go does, `structs` fills the fields of one with it, `times` are its instants, `booleans` its
words for yes and no, `regex` takes Go's regular expressions.

Laws: pure; knows nothing of etcd, and imports nothing of this project: servers and clients, which
share nothing else, stand on it.
"""
