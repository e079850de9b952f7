"""A function of examples/functions as Lambda runs it: by its template, behind Lambda's API and behind a function URL."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml
from examples.serving import SECRET, start
from rig.functions import LambdaApi, lambda_api, runtime_api


class Template(yaml.SafeLoader):
    """CloudFormation's own tags, as they stand."""


Template.add_multi_constructor("!", lambda loader, suffix, node: f"{suffix} {node.value}")


@contextmanager
def deployed(source: Path, folder: Path, secret: str = SECRET) -> Iterator[LambdaApi]:
    """What template.yaml in `source` deploys: Python in AWS's own runtime, Node in tests/examples/lambda_host.mjs."""
    properties = yaml.load((source / "template.yaml").read_text(), Template)["Resources"]["Ivr"]["Properties"]
    name, handler = properties["FunctionName"], properties["Handler"]
    command = {
        "python": [sys.executable, "-m", "awslambdaric", handler],
        "nodejs": ["node", str(Path(__file__).with_name("lambda_host.mjs")), str(source), handler],
    }[properties["Runtime"].rstrip("0123456789.x")]
    with ExitStack() as stack:
        address, runtime = stack.enter_context(runtime_api())
        api = stack.enter_context(lambda_api(**{f"{name}:{properties['AutoPublishAlias']}": runtime.invoke, name: runtime.invoke}))
        running = start(
            "lambda", command, 0, folder,
            {
                "AWS_LAMBDA_RUNTIME_API": address, "PYTHONPATH": str(source), "LAMBDA_TASK_ROOT": str(source),
                "AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
                "AWS_REGION": "eu-central-1", "HOOKROUTER_SECRET": secret,
            },
        )  # fmt: skip
        stack.callback(running.stop)
        yield api
