"""
Writes config/*.yaml and the README's parameter tables from the tables of the nodes.

`python -m intradp_ros.nodes.reference --write` in a checkout; without --write it says what
differs.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from intradp_ros.nodes import camera_node, device_parameters, edge_node, parameter_server
from intradp_ros.nodes.parameters import AUTOSTART, Parameter

TABLES: dict[str, tuple[Parameter, ...]] = {
    'device_node': (AUTOSTART, *device_parameters.TABLE),
    'parameter_server': parameter_server.TABLE,
    'camera_node': camera_node.TABLE,
    'edge_node': (AUTOSTART, *edge_node.TABLE),
}
FILES = {'robot.yaml': ('device_node', 'parameter_server', 'camera_node'),
         'edge.yaml': ('edge_node',)}


def yaml_text(nodes: Iterable[str]) -> str:
    """Write a parameter file with every parameter, its unit, range and meaning."""
    lines = ['# Every parameter, at its default. Written from the tables in intradp_ros/nodes by',
             '# `scripts/run python -m intradp_ros.nodes.reference --write`.']
    for node in nodes:
        lines += [f'/**/{node}:', '  ros__parameters:']
        for p in TABLES[node]:
            unit = f' [{p.unit}]' if p.unit else ''
            lines += [f'    # {p.text}{unit}; {p.range_text}'
                      f'{"; live" if p.live else ""}',
                      f'    {p.name}: {json.dumps(p.default)}']
    return '\n'.join(lines) + '\n'


def markdown(node: str) -> str:
    """Write a table for the README."""
    rows = [f'| `{p.name}` | `{json.dumps(p.default)}` | {p.range_text} {p.unit} | '
            f'{"yes" if p.live else ""} | {p.text} |' for p in TABLES[node]]
    return '\n'.join(['| parameter | default | range | live | meaning |', '|---|---|---|---|---|',
                      *rows])


def expected(root: Path) -> dict[Path, str]:
    """Give the text that each file should have."""
    texts = {root / 'config' / name: yaml_text(nodes) for name, nodes in FILES.items()}
    readme = root / 'README.md'
    text = readme.read_text()
    for node in TABLES:
        begin, end = f'<!-- parameters: {node} -->', '<!-- end -->'
        pattern = re.compile(re.escape(begin) + '.*?' + re.escape(end), re.S)
        # Backslashes of the tables are no references to groups.
        table = f'{begin}\n{markdown(node)}\n{end}'.replace('\\', r'\\')
        text = pattern.sub(table, text)
    return texts | {readme: text}


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--write', action='store_true', help='write the files')
    parser.add_argument('--root', type=Path, default=Path.cwd(), help='the checkout')
    args = parser.parse_args()
    stale = [file for file, text in expected(args.root).items()
             if not file.exists() or file.read_text() != text]
    for file in stale:
        if args.write:
            file.write_text(expected(args.root)[file])
        print(f'{"written" if args.write else "differs"}: {file}')
    return int(bool(stale) and not args.write)


if __name__ == '__main__':
    sys.exit(main())
