"""The `intradp` command."""

import argparse
import importlib
import sys

from intradp_ros.errors import IntraDPError
from intradp_ros.runtime import memory
from intradp_ros.version import version

# One module in this package each: its docstring is the help, add_arguments(parser) and run(args)
# the rest.
COMMANDS = ('models', 'profile', 'plan', 'eval', 'doctor')


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command; 2 for bad arguments or data, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog='intradp', description='Collaborative inference between robot and edge server: '
        'look at models, measure, evaluate.')
    parser.add_argument('--version', action='version', version=f'intradp {version()}')
    subparsers = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for name in COMMANDS:
        module = importlib.import_module(f'intradp_ros.cli.{name}')
        text = (module.__doc__ or '').strip()
        subparser = subparsers.add_parser(
            name, help=text.splitlines()[0], description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    memory.keep_freed()
    memory.bound_kernels()
    try:
        return args.run(args)
    except IntraDPError as error:
        print(f'intradp {args.command}: {error}', file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
