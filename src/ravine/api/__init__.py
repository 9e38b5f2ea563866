"""What a Python program calls.

`run` trains and reads; `look` measures trained runs; `ensembles`, `averages` and `soups` make predictors of them, which
`predict` and `export` use; `estimators` are for scikit-learn; `studies` finds a study.
"""
