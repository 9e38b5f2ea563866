"""Every mistake in a study is one line: file, key as it was written, value, what is allowed, nearest name."""

import time
from fractions import Fraction

import numpy as np
import pytest

from ravine.errors import InputError, ModelError, StudyError
from ravine.study import parse_study, read_study, runs_of
from ravine.study.keep import Keep

POSITIVE = (
    "must be a finite number above 0, or a list of numbers, or a range such as { log = [1e-4, 1.0], num = 9 }"
)
SGD_KEYS = (
    "anchor, clip_norm, clip_value, decoupled_weight_decay, exclude, kind, l1, label, layer_decay, lr, max_norm, "
    "noise, preset, sam_radius, weight_decay"
)


class Mute:
    def __repr__(self):
        raise RuntimeError("no words")


MUTE = Mute()
ARRAY = np.array([0.1, 0.2])
ENDLESS = {}
ENDLESS["a"] = [ENDLESS]

HYPERS = [
    ({"lr": 0}, f"rules.0.lr = 0: {POSITIVE}"),
    ({"lr": -0.1}, f"rules.0.lr = -0.1: {POSITIVE}"),
    ({"lr": float("nan")}, f"rules.0.lr = nan: {POSITIVE}"),
    ({"lr": float("inf")}, f"rules.0.lr = inf: {POSITIVE}"),
    ({"lr": True}, f"rules.0.lr = True: {POSITIVE}"),
    ({"lr": "0.1"}, f"rules.0.lr = '0.1': {POSITIVE}"),
    ({"lr": 10**400}, f"rules.0.lr = 1{'0' * 56}...: {POSITIVE}"),
    ({"lr": 1e-39}, "rules.0.lr = 1e-39: must be at least 1.2e-38: smaller values underflow in float32"),
    ({"lr": 1e300}, "rules.0.lr = 1e+300: must be at most 3.4e+38: larger values overflow in float32"),
    ({"lr": {"log": [1e-45, 1], "num": 3}}, "rules.0.lr.log.0 = 1e-45: must be at least 1.2e-38"),
    (
        {"weight_decay": 1e-45},
        "rules.0.weight_decay = 1e-45: must be at least 1.2e-38, or 0: smaller values underflow in float32",
    ),
    (
        {"kind": "adam", "eps": 1e-60},
        "rules.0.eps = 1e-60: must be at least 1.2e-38: smaller values",
    ),
    ({"lr": []}, "rules.0.lr = []: must have at least one value in it"),
    ({"lr": [0.1, 1, 0.1]}, "rules.0.lr = [0.1, 1.0, 0.1]: 0.1 is in it twice"),
    ({"lr": [0.1, 0]}, "rules.0.lr.1 = 0: must be a finite number above 0"),
    ({"lr": {"log": [1, 0.1], "num": 3}}, "rules.0.lr: a range goes from low to high, got [1, 0.1]"),
    ({"lr": {"log": [1, 1], "num": 3}}, "rules.0.lr: a range goes from low to high, got [1, 1]"),
    ({"lr": {"log": [0, 1], "num": 3}}, "rules.0.lr: a log range needs ends above 0, got [0, 1]"),
    ({"lr": {"linear": [-1, 1], "num": 3}}, "rules.0.lr.linear.0 = -1.0: must be a finite number above 0"),
    ({"lr": {"log": [0.1, 1], "num": 0}}, "rules.0.lr.num = 0: must be at least 2"),
    ({"lr": {"log": [0.1, 1], "num": 2.5}}, "rules.0.lr.num = 2.5: must be a whole number"),
    ({"lr": {"log": [0.1, 1], "nun": 3}}, "rules.0.lr.nun: unknown key; did you mean 'num'?"),
    ({"lr": {"log": [0.1, 1]}}, "rules.0.lr.num: missing: a grid needs to know how many values"),
    ({"lr": {"log": [0.1]}}, "rules.0.lr.log.1: missing, it must be given"),
    ({"lr": {"log": ["a", 1], "num": 2}}, "rules.0.lr.log.0 = 'a': must be a number"),
    ({"lr": {}}, "rules.0.lr: a range needs exactly one of log = [low, high] and linear = [low, high]"),
    ({"weight_decay": -1}, "rules.0.weight_decay = -1: must be a finite number of at least 0"),
    ({"weight_decya": 0.1}, "rules.0.weight_decya: unknown key; did you mean 'weight_decay'?"),
    ({"kind": "newton", "line_search": 0.5}, "rules.0.line_search = 0.5: must be a whole number from 0 to 1"),
    ({"kind": "lbfgs", "l1": 0.1}, "rules.0.l1: not with lbfgs; allowed: c1, c2, exclude, history, kind"),
    (
        {"kind": "schedule_free_adamw", "max_norm": 1},
        "rules.0.max_norm: not with schedule_free_adamw; allowed:",
    ),
    ({"learning_rate": 0.9}, f"rules.0.learning_rate: unknown key; did you mean 'lr'? Allowed: {SGD_KEYS}"),
    ({"kind": "momentum", "momentum": 0.9}, "rules.0.momentum: unknown key; did you mean 'rho'? Allowed:"),
    ({"kind": "adam", "momentum": 0.9}, "rules.0.momentum: unknown key; did you mean 'beta1'? Allowed:"),
    ({"rho": 0.9}, f"rules.0.rho: unknown key; allowed: {SGD_KEYS}"),
    ({"kind": "adma"}, "rules.0.kind = 'adma': no such rule; did you mean 'adam'? Allowed: adagrad, adam,"),
    ({"kind": ["sgd"]}, "rules.0.kind = ['sgd']: no such rule"),
    ({"label": ""}, "rules.0.label = '': must be 1 to 80 printable characters"),
    ({"label": "a\nb"}, r"rules.0.label = 'a\nb': must be 1 to 80 printable characters"),
    ({"label": "\u202eb"}, r"rules.0.label = '\u202eb': must be 1 to 80 printable characters"),
    ({"label": "x" * 81}, "rules.0.label = 'xxx"),
    ({"preset": "pytorch"}, "rules.0.preset = 'pytorch': did you mean 'torch'? Allowed: lecture, torch"),
    ({"exclude": "("}, "rules.0.exclude = '(': must be a regular expression: missing )"),
    ({"exclude": "[[a]"}, "rules.0.exclude = '[[a]': must be a regular expression: Possible nested set"),
    ({"exclude": 3}, "rules.0.exclude = 3: must be a regular expression, as text"),
]

KEYS = [
    ({"epocs": 3}, "epocs: unknown key; did you mean 'epochs'? Allowed: a"),
    ({"a\nb": 3}, r"a\nb: unknown key; allowed:"),
    ({"dropout": 0.1}, "dropout: belongs in the model table"),
    ({"origin": "x"}, "origin: unknown key; allowed:"),
    ({"name": None, "rules": None}, "name, rules: missing, must be given"),
    ({"name": "a b"}, "name = 'a b': must be 1 to 80 letters, digits"),
    ({"name": "../x"}, "name = '../x': must be"),
    ({"name": "-x"}, "name = '-x': must be"),
    ({"epochs": None}, "epochs, steps: exactly one of them is needed, neither is given"),
    ({"steps": 3}, "epochs, steps: exactly one of them is needed, both are given"),
    ({"epochs": 0}, "epochs = 0: must be a number above 0 and at most 1e+06"),
    ({"epochs": [1, 2]}, "epochs = [1, 2]: must be a number above 0"),
    ({"epochs": True}, "epochs = True: must be a number above 0"),
    ({"epochs": None, "steps": 2.0}, "steps = 2.0: must be a whole number from 1 to 1,000,000,000"),
    ({"seeds": 0}, "seeds = 0: must be a whole number from 1 to 100,000, or a list of seeds"),
    ({"seeds": 10**9}, "seeds = 1000000000: must be a whole number from 1 to 100,000"),
    ({"seeds": [0, -1]}, "seeds.1 = -1: must be a whole number from 0 to 2,147,483,647"),
    ({"seeds": [2, 2]}, "seeds = [2, 2]: 2 is in it twice"),
    ({"seeds": []}, "seeds: must have 1 to 100,000 seeds in it, not 0"),
    ({"seeds": True}, "seeds = True: must be a whole number"),
    (
        {"batch_size": 0},
        'batch_size = 0: must be a whole number from 1 to 1,000,000,000, or "full" or "auto", or a list',
    ),
    ({"batch_size": "ful"}, "batch_size = 'ful': must be a whole number from 1"),
    ({"batch_size": [32, 0]}, "batch_size.1 = 0: must be a whole number from 1"),
    ({"batch_size": [32, 32]}, "batch_size = [32, 32]: 32 is in it twice"),
    ({"schedule": "cosin"}, "schedule.kind = 'cosin': no such schedule; did you mean 'cosine'?"),
    ({"schedule": ["cosine", {"kind": "cosine"}]}, "schedule.1: the same schedule as schedule.0"),
    ({"schedule": []}, "schedule = []: must have at least one schedule in it"),
    ({"search": "random"}, "search: random search needs trials"),
    ({"search": {"kind": "randm", "trials": 3}}, "search.kind = 'randm': did you mean 'random'?"),
    ({"search": {"kind": "random", "trials": 0}}, "search.trials = 0: must be at least 1"),
    ({"search": {"trials": 3}}, "search: a grid has no trials"),
    ({"search": 3}, "search = 3: must be a table"),
    ({"keep": "epoch"}, "keep = 'epoch': must be a table such as { every = \"epoch\" }"),
    ({"keep": {}}, "keep.every: missing: keep must be a table such as"),
    ({"keep": {"evry": 3}}, "keep.evry: unknown key; did you mean 'every'? Allowed: every"),
    ({"keep": {"every": 0}}, "keep.every = 0: must be a whole number from 1 to 1,000,000,000 steps, or"),
    ({"keep": {"every": "step"}}, "keep.every = 'step': must be a whole number from 1"),
    ({"evaluations": 0}, "evaluations = 0: must be a whole number from 1 to 10,000"),
    (
        {"rules": {"kind": "sgd", "lr": 1}},
        "rules: must be a list of rules; in TOML each begins with [[rules]]",
    ),
    ({"rules": []}, "rules = []: must have at least one rule in it"),
    ({"rules": [3]}, "rules.0 = 3: must be a table such as"),
    ({"rules": [{}]}, "rules.0.kind: missing, it must be given; allowed: adagrad, adam,"),
    (
        {"rules": ["sgd"]},
        "rules.0.lr: missing, it must be given for sgd: learning rate, a finite number above 0",
    ),
    ({"rules": ["adam", "adam"]}, "rules.1.label = 'adam': rules.0 has this label too"),
    (
        {"model": "mpl"},
        "model.kind = 'mpl': no such model; did you mean 'mlp'? Allowed: backbone, convnet, mlp,",
    ),
    ({"model": {"kind": "mlp", "hiden": [3]}}, "model.hiden: unknown key; did you mean 'hidden'?"),
    (
        {"model": {"kind": "mlp", "dropout": 1.0}},
        "model.dropout = 1.0: must be a number of at least 0 and below 1",
    ),
    ({"model": {"kind": "mlp", "dropout": [0, 2]}}, "model.dropout.1 = 2: must be a number of at least 0"),
    ({"model": {"kind": "mlp", "dropout": {"linear": [0, 0.5]}}}, "model.dropout.num: missing"),
    ({"model": {"kind": "mlp", "hidden": 64}}, "model.hidden = 64: must be a list: write [64]"),
    ({"model": {"kind": "mlp", "hidden": ["64"]}}, "model.hidden.0 = '64': must be a whole number"),
    ({"model": {"kind": "mlp", "hidden": [True]}}, "model.hidden.0 = True: must be a whole number"),
    ({"model": {"hidden": [3]}}, "model.kind: missing, it must be given"),
    ({"model": "a b:c"}, "model.target = 'a b:c': must be \"package.module:Name\""),
    ({"model": {"kind": "module", "target": "a:b", "dropout": 0.1}}, "model.dropout: unknown key"),
    (
        {"model": {"kind": "mlp", "dropout": 0.1, "rates": {"match:dropout1": 0.2}}},
        "model.dropout: cannot be given beside rates: write rates = { dropout = ... }",
    ),
    (
        {"model": {"kind": "mlp", "rates": {"dropout": [0.1, 1]}}},
        "model.rates.dropout.1 = 1: must be a number",
    ),
    (
        {"model": {"kind": "module", "target": "a:b", "args": {"a": [1, None]}}},
        "model.args.a.1: must be a text, a number, true or false, a date, a list or a table, not a NoneType;",
    ),
    (
        {"model": {"kind": "module", "target": "a:b", "args": {"a": 10**5000}}},
        "model.args.a = an int too large to show: must be a text, a number",
    ),
    (
        {"model": {"kind": "module", "target": "a:b", "args": {"a": [float("inf"), -float("inf")]}}},
        "model.args.a.1 = -inf: must be a finite number",
    ),
    (
        {"model": {"kind": "module", "target": "a:b", "args": {"a": {"\ud800": 1}}}},
        "model.args.a = '\\ud800': must be text: half of a character is in it",
    ),
    ({"model": {"kind": "module", "target": "a:b", "args": ENDLESS}}, "model.args.a: nested too deeply"),
    ({"model": 3}, "model = 3: must be a kind"),
    ({"data": "irs"}, "data.kind = 'irs': did you mean 'iris'?"),
    ({"data": {"kind": "csv"}}, "data.path: missing, it must be given"),
    ({"data": ["iris", "wine"]}, "data = ['iris', 'wine']: must be the name of a data set"),
    (
        {"rules": [{"kind": "sgd", "lr": {"log": [0.1, 1], "num": 5000}}], "seeds": 30},
        "rules, seeds: this study is 150,000 runs, 30 seeds of each config; at most 100,000 are allowed",
    ),
]
# What only Python can give: arrays, which are not equal to anything in a word, and objects that cannot be shown.
PYTHON = [
    ({"epochs": ARRAY}, "epochs = array([0.1, 0.2]): must be a number above 0"),
    ({"batch_size": ARRAY}, "batch_size = array([0.1, 0.2]): must be a whole number from 1"),
    ({"batch_size": [ARRAY]}, "batch_size.0 = array([0.1, 0.2]): must be a whole number from 1"),
    ({"tune": ARRAY}, "tune = array([0.1, 0.2]): allowed: joint, regularize, staged"),
    ({"keep": Keep(every=0)}, "keep.every = 0: must be a whole number"),
    (
        {"rules": [{"kind": "sgd", "lr": {"log": [0.1, np.nan], "num": 3}}]},
        "rules.0.lr.log.1 = nan: must be a",
    ),
    (
        {"schedule": {"kind": "step", "every": Fraction(10**20 - 1, 10**20)}},
        "schedule.every: must be a whole",
    ),
    ({"keep": {"every": ARRAY}}, "keep.every = array([0.1, 0.2]): must be a whole number"),
    ({"rules": [{"kind": "sgd", "lr": 0.1, "preset": ARRAY}]}, "rules.0.preset = array([0.1, 0.2]): allowed"),
    ({"evaluations": np.ones((2, 2))}, "evaluations = array([[1., 1.], [1., 1.]]): must be a whole number"),
    ({"model": {"kind": MUTE}}, "model.kind = a Mute: no such model; allowed"),
    ({"data": {"kind": MUTE}}, "data.kind = a Mute: allowed: "),
    ({"search": {"kind": [MUTE]}}, "search.kind = a list: allowed: grid, random"),
]
CASES = [({"rules": [{"kind": "sgd", "lr": 0.1, **hypers}]}, line) for hypers, line in HYPERS] + KEYS + PYTHON


@pytest.mark.parametrize(("keys", "line"), CASES)
def test_each_mistake(plain, keys, line):
    began = time.process_time()
    with pytest.raises(StudyError) as error:
        parse_study(plain(**keys), "my-study.toml")
    assert str(error.value).startswith(f"my-study.toml: {line}")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300
    assert time.process_time() - began < 0.5


LATER = [
    ({"batch_size": 64}, 'batch_size = 64: the training set has only 60 examples; write "full" for all'),
    ({"batch_size": 61}, 'batch_size = 61: the training set has only 60 examples; write "full" for all'),
    (
        {"epochs": None, "steps": 9, "schedule": {"kind": "cosine", "warmup": 9}},
        "schedule.warmup = 9: must be fewer",
    ),
    (
        {"batch_size": 30, "schedule": ["constant", {"kind": "cosine", "warmup": 4}]},
        "schedule.1.warmup = 4: must be fewer steps than the run's 4",
    ),
    (
        {
            "rules": [{"kind": "sgd", "lr": [0.1, 1]}, {"kind": "sgd", "label": "b", "lr": [1, 2]}],
            "batch_size": 60,
        },
        "rules: 'sgd' and 'b' contain the same run (lr = 1.0, seed 0)",
    ),
]


@pytest.mark.parametrize(("keys", "line"), LATER)
def test_mistakes_that_only_the_data_show(plain, data, keys, line):
    study = parse_study(plain(**keys), "my-study.toml")
    with pytest.raises(StudyError) as error:
        runs_of(study, data)
    assert str(error.value).startswith(f"my-study.toml: {line}")


def test_a_module_that_is_not_there(plain, data, tmp_path):
    study = parse_study(plain(model="no_such_file:Net"), "my-study.toml")
    with pytest.raises(ModelError, match=r"my-study.toml: model.target = 'no_such_file:Net': no module"):
        runs_of(study, data, tmp_path)


FILES = [
    (b"", "is empty; a study needs name, data, model, rules, and epochs, steps or phases"),
    (b" \n\t\n", "is empty"),
    (b"# only a comment", "name, data, model, rules: missing, must be given"),
    (b"name = \nx", "not valid TOML: Invalid value (at line 1, column 8)"),
    (b"name = 'x'\nname = 'y'", "not valid TOML: Cannot overwrite a value (at"),
    (b"x = " + b"[" * 5000, "not valid TOML: nested too deeply"),
    (b"x = 1" + b"0" * 5000, "not valid TOML: Exceeds the limit"),
    (b"x = [{y = 0x" + b"f" * 5000 + b"}]", "has a whole number of more than 300 digits"),
    (b"\xff\xfe\x00\x01", "is not UTF-8 text; a study is a TOML file"),
    (b"#" * 10_000_001, "too large for a study file: 10,000,001 bytes"),
]


@pytest.mark.parametrize(("content", "line"), FILES)
def test_files_that_are_no_study(tmp_path, content, line):
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(StudyError) as error:
        read_study(path)
    assert str(error.value).startswith(f"{path}: {line}")
    assert str(error.value).isprintable()


def test_no_file_a_folder_and_a_strange_name(tmp_path):
    (tmp_path / "digits.toml").write_text("")
    with pytest.raises(
        StudyError, match=r"digts.toml: no such study file; did you mean 'digits.toml'\? In that"
    ):
        read_study(tmp_path / "digts.toml")
    with pytest.raises(StudyError, match=r"no such study file$"):
        read_study(tmp_path / "no" / "such.toml")
    with pytest.raises(StudyError, match="is a folder; a study is a TOML file"):
        read_study(tmp_path)
    with pytest.raises(StudyError, match=r"a\\nb: no such study file"):
        read_study(tmp_path / "a\nb")
    with pytest.raises(StudyError, match=r"a\\x00b: cannot be read"):
        read_study(f"{tmp_path}/a\0b")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "study.toml"
    text = 'name = "s"\r\ndata = "iris"\r\nmodel = "mlp"\r\nsteps = 3\r\nrules = ["adam"]\r\n'
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_study(path)[0].steps == 3


def test_labels_may_be_any_text_on_one_line(plain):
    for label in ("größe 🙂", "学习率", "a <b> & 'c'", "  padded "):
        study = parse_study(plain(rules=[{"kind": "sgd", "lr": 1, "label": label}]))
        assert study.rules[0].label == label.strip()


def test_all_are_input_errors():
    assert issubclass(StudyError, InputError)
