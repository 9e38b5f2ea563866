"""scikit-learn's own checks of an estimator: one failure is expected. Those that fit often are slow."""

from __future__ import annotations

import warnings
from unittest import SkipTest

import pytest
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

import ravine

# Fit once, or not at all; together they are some seconds.
SOON = [
    "check_classifiers_multilabel_output_format_predict",
    "check_classifiers_multilabel_output_format_predict_proba",
    "check_classifiers_one_label",
    "check_classifiers_regression_target",
    "check_complex_data",
    "check_decision_proba_consistency",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_estimator_sparse_tag",
    "check_estimator_tags_renamed",
    "check_estimators_empty_data_messages",
    "check_estimators_unfitted",
    "check_fit1d",
    "check_fit2d_1sample",
    "check_fit2d_predict1d",
    "check_fit_check_is_fitted",
    "check_get_params_invariance",
    "check_methods_subset_invariance",
    "check_mixin_order",
    "check_n_features_in_after_fitting",
    "check_regressor_multioutput",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_requires_y_none",
    "check_sample_weights_list",
    "check_sample_weights_shape",
    "check_set_params",
    "check_supervised_y_no_nan",
    "check_valid_tag_types",
]
# A weight of 2 is not the example twice: batches and the validation part are others.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "examples are dealt out, and batches drawn, by number"
}
BOTH = pytest.mark.parametrize("kind", [ravine.Classifier, ravine.Regressor])


@pytest.mark.parametrize("kind", [ravine.Classifier, pytest.param(ravine.Regressor, marks=pytest.mark.slow)])
def test_those_that_are_soon_done(kind: type) -> None:
    done = set()
    for estimator, check in estimator_checks_generator(kind(runs=1, epochs=1)):
        name = getattr(check, "func", check).__name__
        if name in SOON:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(estimator)
            done.add(name)
    assert len(done) > 20


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("stopping", [False, True])
def test_all_of_them(kind: type, stopping: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keys = {"augment": {"noise": [0.0, 0.05]}, "stop": {"patience": 10}} if stopping else {}
        found = check_estimator(
            kind(runs=4, epochs=20, **keys), on_skip=None, expected_failed_checks=EXPECTED
        )
    # The first wants an environment variable of SciPy, and estimators that take arrays of any library; the other a
    # decision_function, which ravine's do not have.
    skipped = {each["check_name"] for each in found if isinstance(each["exception"], SkipTest)}
    assert skipped <= {
        "check_array_api_input",
        "check_classifiers_multilabel_output_format_decision_function",
    }
    assert len(found) > 45
