"""The page of a replay: one file with all that it needs, the same for the same episodes, whose slider moves."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from mime.drawing.replay_page import RESOLUTION, Replayed, contents, page
from mime.envs.dog_house import DogHouse
from mime.envs.navigation import RingNavigation
from mime.envs.pendulum import Pendulum, Rod
from mime.envs.replay_scenes import replay_scene
from mime.envs.scenes import Trajectories
from mime.envs.task_environment import TaskEnvironment

GOALS = np.array([[5.5, 0.0], [0.0, -8.5]], np.float32)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Moves the slider of the page to each place, and says in the page what came of it.
MOVE = """
<script>
const said = [];
window.onerror = (message) => said.push("error " + message);
console.error = console.warn = (message) => said.push("error " + message);
playing = false;
time.value = time.max;
for (let place = 0; place <= Number(stage.max); place++) {
  stage.value = place;
  stage.dispatchEvent(new Event("input"));
  const pixels = panels.map((panel) => panel.canvas.toDataURL().length).join("/");
  const texts = panels.map((panel) => panel.caption.textContent).join(" | ");
  said.push([document.getElementById("stage-text").textContent, pixels, texts].join("; "));
}
document.body.append(Object.assign(document.createElement("pre"), { id: "said", textContent: said.join("\\n") }));
</script>
</body>"""


def wandering(observation, seed=0, success=True):
    """Two trajectories of two tasks, three steps each; the second of the first task ends early and succeeds."""
    rng = np.random.default_rng(seed)
    observations = rng.uniform(-1, 1, (2, 2, 4, observation)).astype(np.float32)
    rewards = np.ones((2, 2, 3), np.float32)
    solved, valid = np.zeros((2, 2, 3), bool), np.ones((2, 2, 3), bool)
    solved[0, 1, 1], valid[0, 1, 2] = success, False
    return Trajectories(observations, rewards, solved, valid)


def replayed(environment, tasks, observation, seeds=(0, 1)):
    stages = {steps: wandering(observation, seed) for steps, seed in zip((0, 3), seeds)}
    return {steps: Replayed(replay_scene(environment, tasks, each), each) for steps, each in stages.items()}


def ring():
    return replayed(RingNavigation(), GOALS, 2)


def written(runs, **options):
    return page("Held-out <tasks>", "inner steps", runs, with_success=True, **options)


def test_coordinates_are_parts_of_the_frame():
    data = contents("t", "inner steps", {"MAML": ring()}, with_success=True)
    assert data["steps"] == [0, 3]
    assert data["goals"][0] == [round((5.5 + 10.5) / 21 * RESOLUTION), RESOLUTION // 2, round(RESOLUTION / 21)]
    first = data["runs"][0]["stages"][0]
    assert first["solved"] == [[-1, 2], [-1, -1]]
    assert first["returns"] == [[3, 2], [3, 3]]
    assert [len(path) // 2 for task in first["paths"] for path in task] == [4, 3, 4, 4]
    expected = np.round((wandering(2).observations[0, 0].ravel() + 10.5) / 21 * RESOLUTION)
    np.testing.assert_allclose(first["paths"][0][0], expected, atol=1)


def test_a_rod_hangs_from_a_place_of_its_own():
    tasks = Rod(np.array([0.6, 0.8]), np.array([0.5, 0.8]))
    scene = replay_scene(Pendulum(), tasks, wandering(3))
    cosine, sine = wandering(3).observations[0, 0, 0, :2]
    np.testing.assert_allclose(scene.tracks[0, 0, 0], scene.pivots[0] + 0.5 * np.array([sine, cosine]), rtol=1e-6)
    assert scene.names == ["m 0.6, l 0.5", "m 0.8, l 0.8"]


def test_walls_are_where_the_house_has_them():
    house = DogHouse()
    blocks = replay_scene(house, GOALS, wandering(3)).blocks
    covered = sum((right - left) * (top - bottom) for left, bottom, right, top in blocks)
    assert covered == pytest.approx(house.walls.sum() / 100)


def test_any_environment_shows_its_return_so_far():
    class Anything(TaskEnvironment):
        def __init__(self):
            """Nothing is known of it."""

    data = contents("t", "inner steps", {"MAML": replayed(Anything(), None, 1)}, with_success=False)
    assert data["labels"] == ("step", "return so far")
    assert data["limits"][2:] == [pytest.approx(3.15), pytest.approx(3.15)]
    assert not data["success"]


def test_it_needs_nothing_else_and_is_the_same_again():
    text = written({"MAML": ring(), "</script>": ring()})
    assert text == written({"MAML": ring(), "</script>": ring()})
    assert "Held-out &lt;tasks&gt;" in text
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    parser.feed(text)
    assert not any({"src", "href"} & attributes.keys() for _, attributes in tags)
    assert not re.search(r"https?://|@import|url\(", text)
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text)
    assert [run["name"] for run in json.loads(data)["runs"]] == ["MAML", "</script>"]


def test_the_slider_moves_in_a_browser(tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("there is no Chromium")
    path = tmp_path / "page.html"
    path.write_text(written({"MAML": ring(), "MIME": ring()}).replace("</body>", MOVE), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    done = subprocess.run([browser, *options, f"file://{path}"], capture_output=True, text=True, timeout=120)
    (said,) = re.findall(r'<pre id="said">(.*?)</pre>', done.stdout, re.DOTALL)
    before, after = said.splitlines()
    assert before.startswith("before adaptation; ")
    assert after.startswith("after 3 inner steps; ")
    assert "solved by now: 1 of 2 tasks, 25 % of trajectories" in after
    assert before.split(";")[1] != after.split(";")[1], "the picture is the same"
