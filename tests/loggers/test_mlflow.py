"""The runs in MLflow's database, opened with its own client."""

import pytest

pytestmark = pytest.mark.slow  # importing mlflow and making its tables takes ten seconds

SMALL = ("model.depth=3", "model.width=16", "train.steps=30", "train.eval_every=10")


@pytest.fixture
def store(tmp_path):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/db/mlflow.db"
    config = ("logger=mlflow", f"logger.mlflow.tracking_uri={uri}", f"logger.mlflow.artifacts={tmp_path}/files")

    def runs():
        client = MlflowClient(uri)
        return client, client.search_runs([client.get_experiment_by_name("gradlab").experiment_id])

    return config, runs


def history(client, run, name):
    return {item.step: item.value for item in client.get_metric_history(run.info.run_id, name)}


def test_the_database_holds_the_numbers_of_the_tables(run, store):
    config, runs = store
    done = run(*SMALL, *config, "figures=true")
    client, (found,) = runs()
    for name in done.metrics.columns.drop("step"):
        column = done.metrics.set_index("step")[name].dropna()
        assert history(client, found, name) == column.to_dict()
    for (depth, layer), rows in done.gradients.groupby(["depth_index", "layer"]):
        expected = rows.set_index("step").preactivation_grad_norm.to_dict()
        assert history(client, found, f"gradient_norm/{depth:02d}_{layer}") == expected
    assert found.data.params["model.depth"] == "3"
    assert found.data.tags["gradlab.verdict_initial"].startswith("gradients are healthy")
    assert found.info.status == "FINISHED"
    assert found.info.run_name == done.folder.name
    files = [item.path for item in client.list_artifacts(found.info.run_id, "figures")]
    assert "figures/gradient_flow.png" in files


def test_a_resumed_run_logs_each_step_once(tmp_path, store):
    from gradlab.loggers.mlflow import MLflow

    config, runs = store
    options = {key.removeprefix("logger.mlflow."): value for key, _, value in (c.partition("=") for c in config[1:])}
    for start, last in ((0, 9), (5, 12)):  # killed after step 9, saved after step 4
        logger = MLflow(folder=tmp_path / "a run, x=1", config={"seed": 0}, start=start, **options)
        for step in range(start, last + 1):
            logger.log(step, {"train_loss": float(step)})
        logger.finish({"status": "interrupted" if start == 0 else "completed"}, [])
    client, (found,) = runs()
    assert [item.step for item in client.get_metric_history(found.info.run_id, "train_loss")] == list(range(13))
    assert found.info.status == "FINISHED"
