"""What a project sets in its pyproject.toml: found, read, checked."""

from __future__ import annotations

import pytest

from graphkit.errors import InputError
from graphkit.frameworks.base import Adam, Sgd
from graphkit.parity.settings import find, numbers_of, rule_of, settings
from graphkit.parity.tolerances import parse_tolerance


@pytest.fixture
def project(tmp_path):
    """Write a ``pyproject.toml`` and give back its path."""

    def write(text: str):
        path = tmp_path / "pyproject.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


FULL = """
[tool.graphkit.verify]
on = ["torch", "ort"]
backward = true
mode = "train"
train-steps = 3
optimizer = "adam"
lr = 1
momentum = 0.5
weight-decay = 0.0
loss = "cross-entropy"
dtype = "float64"
batches = [1, 8]
seeds = 7
taps = false
tol = "1e-4"
report = ["out/parity.xml", "out/parity.html"]
feed = ["x=data/x.npy", "data", "tests.batches:batches"]
baseline = "baseline.npz"

[tool.graphkit.verify.tolerances]
output = 1e-5
"layer4.*" = "8x"
"""


def test_the_nearest_file_from_a_folder_upward_is_found(project, tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    outer = project("")
    assert find(inner) == outer.resolve()
    nearer = tmp_path / "a" / "pyproject.toml"
    nearer.write_text("", encoding="utf-8")
    assert find(inner) == nearer.resolve()


def test_a_relative_folder_is_taken_from_the_working_folder(project, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    path = project("")
    monkeypatch.chdir(tmp_path / "a")
    assert find(type(tmp_path)()) == path.resolve()


def test_every_key_is_read(project, tmp_path):
    assert settings(project(FULL), "verify") == {
        "on": ["torch", "ort"],
        "backward": True,
        "mode": "train",
        "train_steps": 3,
        "optimizer": "adam",
        "lr": 1,
        "momentum": 0.5,
        "weight_decay": 0.0,
        "loss": "cross-entropy",
        "dtype": "float64",
        "batches": [1, 8],
        "seeds": [7],
        "taps": False,
        "tol": ["1e-4", "output=1e-05", "layer4.*=8x"],
        "report": [str(tmp_path / "out/parity.xml"), str(tmp_path / "out/parity.html")],
        "feed": [f"x={tmp_path / 'data/x.npy'}", str(tmp_path / "data"), "tests.batches:batches"],
        "baseline": str(tmp_path / "baseline.npz"),
    }


def test_the_tolerances_are_what_the_command_reads(project):
    texts = settings(project(FULL), "verify")["tol"]
    assert [parse_tolerance(text).key for text in texts] == ["", "output", "layer4.*"]


def test_bisect_reads_what_it_shares_with_verify_and_its_own_wins(project):
    text = FULL + '[tool.graphkit.bisect]\non = "mxnet"\nout = "found"\n'
    path = project(text)
    found = settings(path, "bisect")
    assert found["on"] == ["mxnet"]
    assert found["out"] == str(path.parent / "found")
    assert (found["backward"], found["seeds"], found["tol"][1]) == (True, [7], "output=1e-05")
    assert not {"train_steps", "dtype", "report", "baseline"} & set(found)


@pytest.mark.parametrize("text", ["", "[tool.other]\nx = 1", "tool = 3", "[tool.graphkit]", "[tool.graphkit.verify]"])
def test_a_file_that_sets_nothing_gives_nothing(project, text):
    assert settings(project(text), "verify") == {}
    assert settings(project(text), "bisect") == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dtyp = 'float64'", "has no key 'dtyp' (is 'dtype' meant?); there are on, backward, mode, batches"),
        ("train_steps = 3", "is 'train-steps' meant?"),
        ("wobble = 3", "has no key 'wobble'; there are"),
        ("backward = 'yes'", "'backward' of [tool.graphkit.verify] is \"yes\", but has to be true or false"),
        ("backward = 1", "is 1, but has to be true or false"),
        ("train-steps = 0", "is 0, but has to be a whole number from 1 on"),
        ("train-steps = true", "is true, but has to be a whole number"),
        ("train-steps = 2.0", "is 2.0, but"),
        ("lr = -1", "is -1, but has to be a number from 0 on"),
        ("lr = nan", "is nan, but has to be a number from 0 on"),
        ("lr = inf", "is inf, but has to be a number from 0 on"),
        ("dtype = 'float16'", 'is "float16", but has to be "float32", "float64" or "own"'),
        ("loss = ['mse']", 'is a list, but has to be "given", "mse" or "cross-entropy"'),
        ("batches = [1, '2']", 'is "2", but has to be a whole number from 1 on, a list of them'),
        ("batches = '0-3'", 'is "0-3", but has to be a whole number from 1 on'),
        (
            "seeds = '5-3'",
            'is "5-3", but has to be a whole number from 0 on, a list of them, or a text such as "0,5-9"',
        ),
        ("seeds = []", "is empty; leave it out"),
        ("on = [1]", "is 1, but has to be a text or a list of texts"),
        ("on = ''", 'is "", but has to be a text'),
        ("baseline = ['b.npz']", "is a list, but has to be the name of a file"),
        ("tolerances = 1e-4", "[tool.graphkit.verify.tolerances] is 0.0001, but has to be a table"),
        ("tolerances = { output = -1 }", "'output' of [tool.graphkit.verify.tolerances] is -1; a tolerance is a"),
        ("tolerances = { output = 'tight' }", "sets a tolerance that is none. 'tight' in 'output=tight'"),
        (
            "tolerances = { layer4.w = 1e-3 }",
            "'layer4' of [tool.graphkit.verify.tolerances] is a table (write \"layer4",
        ),
        ("tolerances = { 'input gradien' = 1 }", "is 'input gradient' meant"),
        ("tol = 'output'", "sets a tolerance that is none. 'output' is no tolerance"),
        ("tol = [nan]", "is nan, but has to be a tolerance"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_file_and_what_is_allowed(project, text, told):
    path = project(f"[tool.graphkit.verify]\n{text}")
    with pytest.raises(InputError) as caught:
        settings(path, "verify")
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tool.graphkit.verfy]", "[tool.graphkit] has no key 'verfy' (is 'verify' meant?); there are verify, bisect"),
        ("[tool]\ngraphkit = 3", "[tool.graphkit] is 3, but has to be a table"),
        ("[tool.graphkit]\nverify = true", "[tool.graphkit.verify] is true, but has to be a table"),
        ("[tool.graphkit.bisect]\ntaps = true", "[tool.graphkit.bisect] has no key 'taps'"),
        ("[tool.graphkit", "is no TOML"),
        ("a = 1\na = 2", "is no TOML"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(project, text, told):
    path = project(text)
    with pytest.raises(InputError) as caught:
        settings(path, "bisect")
    assert str(path) in str(caught.value)
    assert told in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no TOML"):
        settings(path, "verify")


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        settings(tmp_path / "pyproject.toml", "verify")


def test_options_say_how_training_is_done():
    assert rule_of() is None
    assert rule_of(lr=0.5) == Sgd(lr=0.5)
    assert rule_of("momentum") == Sgd()
    assert rule_of("momentum", 0.1, 0.2, 0.3) == Sgd(0.1, 0.2, 0.3)
    assert rule_of("sgd", 0.1) == Sgd(lr=0.1, momentum=0.0)
    assert rule_of("adam", lr=0.1, weight_decay=0.2) == Adam(lr=0.1, weight_decay=0.2)


def test_options_that_fit_no_optimizer_are_refused():
    with pytest.raises(InputError, match="there are sgd, momentum, adam"):
        rule_of("rmsprop")
    for name in ("sgd", "adam"):
        with pytest.raises(InputError, match=f"The optimizer {name} has no momentum to set"):
            rule_of(name, momentum=0.5)


def test_numbers_are_listed_or_a_range():
    assert numbers_of("3") == (3,)
    assert numbers_of("0, 2,5-7,6") == (0, 2, 5, 6, 7)


@pytest.mark.parametrize("text", ["", "a", "-1", "1-", "3-1", "1,,2", "1.5", "0", "²"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(InputError, match="is not numbers from 1 on"):
        numbers_of(text, 1)


def test_seeds_and_batch_sizes_may_be_ranges(project):
    text = '[tool.graphkit.verify]\nseeds = "0-3"\nbatches = "1,8"\n'
    assert settings(project(text), "verify") == {"seeds": [0, 1, 2, 3], "batches": [1, 8]}
