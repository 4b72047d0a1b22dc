"""The configuration of PEARL. Keys keep the names of the original implementation (github katerakelly/oyster)."""

import math
from typing import ClassVar, Literal

from mime.configuration.keys import Configuration, Fraction, NonNegative, OneOrMore, Positive, ZeroOrMore


class PearlExperiment(Configuration):
    """Everything that decides what a run of PEARL computes, apart from its seed.

    Steps are collected in whole trajectories, so numbers of steps are rounded up to multiples of `max-path-length`.
    """

    LENGTH: ClassVar[str] = "num-iterations"
    STEPS: ClassVar[str] = "trajectories of context"

    algorithm: Literal["pearl"] = "pearl"
    """Says that the file configures PEARL."""

    # Networks
    latent_size: OneOrMore = 5
    """Numbers in the context variable z."""
    net_size: OneOrMore = 300
    """Width of each of the three hidden layers of policy, Q and value networks."""
    encoder_size: OneOrMore = 200
    """Width of each of the three hidden layers of the context encoder."""

    # Tasks and data
    n_train_tasks: OneOrMore = 10
    """Training tasks, drawn once for the whole run."""
    num_iterations: OneOrMore = 500
    """Iterations of collecting data and then updating the networks."""
    num_initial_steps: OneOrMore = 2000
    """Steps in each training task before the first update, with z from the prior."""
    num_tasks_sample: OneOrMore = 5
    """Training tasks that an iteration collects data from; all of them if there are fewer."""
    num_steps_prior: OneOrMore = 400
    """Steps per task and iteration with z from the prior."""
    num_steps_posterior: ZeroOrMore = 0
    """Steps per task and iteration with z from the posterior, which also become context."""
    num_extra_rl_steps_posterior: ZeroOrMore = 400
    """Steps per task and iteration with z from the posterior, which only the actor and critics see."""
    max_path_length: OneOrMore = 200
    """Steps of a trajectory."""
    replay_buffer_size: OneOrMore = 1_000_000
    """Transitions kept per task."""

    # Updates
    num_train_steps_per_itr: OneOrMore = 2000
    """Updates per iteration."""
    meta_batch: OneOrMore = 16
    """Tasks per update, drawn with replacement."""
    batch_size: OneOrMore = 256
    """Transitions per task in an update of actor and critics."""
    embedding_batch_size: OneOrMore = 64
    """Transitions per task that z is inferred from in an update."""
    use_next_obs_in_context: bool = False
    """Let the context encoder see the next observation: needed where tasks differ in their dynamics."""
    discount: Fraction = 0.99
    """Discount."""
    soft_target_tau: Fraction = 0.005
    """Share of the value network that its target takes on in each update."""
    policy_lr: Positive = 3e-4
    """Rate of the policy's Adam."""
    qf_lr: Positive = 3e-4
    """Rate of the Q networks' Adam."""
    vf_lr: Positive = 3e-4
    """Rate of the value network's Adam."""
    context_lr: Positive = 3e-4
    """Rate of the context encoder's Adam."""
    reward_scale: Positive = 5.0
    """Factor of the rewards in the critics' targets; the larger, the less the policy's entropy counts."""
    kl_lambda: NonNegative = 0.1
    """Weight of the posterior's divergence from the prior, summed over the update's tasks."""
    sparse_rewards: bool = False
    """For a sparse environment: contexts see its rewards, but the critics train on dense ones, as in the paper."""

    # Evaluation
    num_evals: OneOrMore = 2
    """Independent evaluations of each task."""
    num_steps_per_eval: OneOrMore = 600
    """Steps of an evaluation."""
    num_exp_traj_eval: OneOrMore = 1
    """Trajectories of an evaluation with z from the prior, before z comes from the posterior given all before."""

    @property
    def iterations(self) -> int:
        """Meta-iterations of a run."""
        return self.num_iterations

    @property
    def method(self) -> str:
        """The name under which the method is known."""
        return "PEARL"

    def trajectories(self, steps: int) -> int:
        """Whole trajectories that make up at least so many steps."""
        return math.ceil(steps / self.max_path_length)

    @property
    def context_capacity(self) -> int:
        """Steps that a task's encoder buffer may come to hold between two of its clearings."""
        recent = self.trajectories(self.num_steps_prior) + self.trajectories(self.num_steps_posterior)
        return max(recent, self.trajectories(self.num_initial_steps)) * self.max_path_length

    def check(self) -> None:
        """Refuses values that do not go together."""
        if self.trajectories(self.num_steps_per_eval) <= self.num_exp_traj_eval:
            raise ValueError(
                f"num-steps-per-eval: {self.num_steps_per_eval} leaves no trajectory of the posterior after"
                f" num-exp-traj-eval: {self.num_exp_traj_eval} of the prior; set it above"
                f" {self.num_exp_traj_eval * self.max_path_length}"
            )
        if self.context_capacity > self.replay_buffer_size:
            raise ValueError(
                f"replay-buffer-size: {self.replay_buffer_size} holds less than the {self.context_capacity} recent"
                " steps that contexts are drawn from"
            )
