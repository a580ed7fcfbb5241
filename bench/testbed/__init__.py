"""
A network test bed on one Linux machine: robots and an edge server in network namespaces.

In the order in which a run meets them: `shell` (commands, and what is missing for them), `network`
(namespaces, links with a rate, loss and outages), `cpu` (a slow processor), `bed` (all of it as
one context that cleans up after itself, and after one that died).
"""
