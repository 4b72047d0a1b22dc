"""`check_environment`: what is right and wrong with an environment of one's own."""

from mime.envs.environment import Environment
from mime.envs.external.hosted_environment import HostedEnvironment
from mime.envs.task_environment import TaskEnvironment
from mime.sampling.check_results import Finding
from mime.sampling.compiled_checks import check_compiled
from mime.sampling.hosted_checks import check_hosted


def check_environment(environment: Environment) -> list[Finding]:
    """What is right and wrong with an environment, in words.

    Args:
        environment: As `mime.make_environment` builds it: a `TaskEnvironment`, written in JAX, or one outside JAX.

    Returns:
        A finding for each check, up to the first that fails.
    """
    if isinstance(environment, TaskEnvironment):
        return check_compiled(environment)
    assert isinstance(environment, HostedEnvironment)
    return check_hosted(environment)
