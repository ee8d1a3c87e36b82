from zoo.training.optimizers import optimized_variables


def test_a_plain_model_has_one_optimiser_for_all_it_trains(make_model):
    model = make_model()
    [(name, variables)] = optimized_variables(model).items()
    assert name == "optimizer"
    assert [id(v) for v in variables] == [id(v) for v in model.trainable_variables]


def test_a_model_may_name_others(make_model):
    model = make_model()
    model.optimized_variables = {"optimizer": [1], "other_optimizer": [2]}
    assert optimized_variables(model) == {"optimizer": [1], "other_optimizer": [2]}
