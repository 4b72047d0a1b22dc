"""The library as its users call it."""

import re
import subprocess
import sys

import jax
import numpy as np
import pytest

import mime
from tests import small_runs
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("shared_learners")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api") / "run"
    return mime.train(small_runs.small(num_batches=2), folder), folder


def test_training_is_that_of_the_command(trained, tmp_path):
    result, folder = trained
    small_runs.run(tmp_path / "run", num_batches=2)
    assert small_runs.results(folder) == small_runs.results(tmp_path / "run")
    assert result.iteration == 3
    assert not result.interrupted


def test_a_run_is_neither_replaced_nor_continued_as_another_one(trained):
    _, folder = trained
    with pytest.raises(mime.UserError, match="holds a run already"):
        mime.train(small_runs.small(num_batches=2), folder)
    with pytest.raises(mime.UserError, match=r"gamma: 0\.5, but the run has 0\.99"):
        mime.train(small_runs.small(num_batches=2, gamma=0.5), folder, resume=True)
    with pytest.raises(mime.UserError, match="seed: 1, but the run has 0"):
        mime.train(small_runs.small(num_batches=2), folder, resume=True, seed=1)


def test_adaptation_to_a_task(trained):
    _, folder = trained
    goal, observation = np.array([0.4, -0.2], np.float32), np.zeros(2, np.float32)
    with mime.load_run(folder) as run:
        adapted, again = (run.adapt(goal, num_steps=2) for _ in range(2))
        elsewhere, reseeded = run.adapt(-goal, num_steps=2), run.adapt(goal, num_steps=2, seed=5)
        batch = run.adapt_all(np.stack([goal, -goal]), num_steps=1, key=jax.random.key(0))
        with pytest.raises(mime.UserError, match="task: has the form"):
            run.adapt((0.4, -0.2))
    means = [np.asarray(policy(observation).mean) for policy in (run.policy, adapted, elsewhere, reseeded)]
    assert len({mean.tobytes() for mean in means}) == 4
    np.testing.assert_array_equal(means[1], again(observation).mean)
    assert jax.tree.map(np.shape, batch) == jax.tree.map(lambda leaf: (2, *leaf.shape), run.policy)


def test_keys_win_over_the_file_and_are_checked():
    path = ROOT / "configs" / "2d-navigation-dense.yaml"
    assert mime.load_experiment(path, fast_lr=0.7).fast_lr == 0.7
    assert mime.load_experiment(path).method == "MAML"
    with pytest.raises(mime.UserError, match="fast-rl: unknown key; did you mean fast-lr"):
        mime.load_experiment(path, fast_rl=0.7)


def test_the_readme_is_true(tmp_path, monkeypatch, capsys):
    """Its example, with a smaller experiment."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    small = "num_batches=1, meta_batch_size=2, fast_batch_size=2, hidden_sizes=(4,)"
    code = code.replace("num_batches=50", small).replace('"configs/', f'"{ROOT}/configs/')
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    returns, last = capsys.readouterr().out.splitlines()
    assert float(returns) < 0
    assert float(last.split()[0]) < 0


def test_import_is_light_and_offers_what_it_names():
    code = "import sys, mime; print('jax' in sys.modules); print(all(getattr(mime, name) for name in mime.__all__))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "True"]
