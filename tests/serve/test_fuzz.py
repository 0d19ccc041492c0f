"""Two thousand requests made from the server's own description, right and wrong: never a 5xx."""

import collections

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.serve.conftest import listening
from tlkit.serve.app import make_app
from tlkit.serve.limits import Limits

CASES = 2000


@pytest.mark.slow
def test_no_request_makes_it_fail(deployed):
    with listening(make_app(deployed, Limits())) as address:
        ask_all(schemathesis.openapi.from_url(f"{address}/openapi.json"))


def ask_all(schema):
    operations = [found.ok() for found in schema.get_all_operations()]
    posts = [operation for operation in operations if operation.method == "post"]
    seen = collections.Counter()
    for operation in operations:
        # each case of an address that takes nothing but its name would be the same
        count = CASES // len(posts) // 2 + 2 if operation in posts else 1
        for mode in list(schemathesis.GenerationMode) if operation in posts else [None]:
            strategy = operation.as_strategy(**({"generation_mode": mode} if mode else {}))

            @settings(
                max_examples=count, deadline=None, database=None, derandomize=True,
                phases=[Phase.generate], suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(strategy)
            def ask(case):
                answer = case.call()
                seen[case.method.lower(), answer.status_code] += 1
                assert answer.status_code < 500, (case.body, answer.text)
                if answer.status_code >= 400:
                    assert answer.json()["error"]

            ask()
    print(sorted(seen.items()))
    assert sum(seen.values()) >= CASES
    assert seen["post", 400] > 1000
