"""What the Hub reads of a release: how it files the model, and what its widget shows."""

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, ModelInfo
from PIL import Image

from hub import staging, upload
from hub.card.card import example_scores, make_card
from hub.card.metadata import Publication
from hub.run import load_run
from hub.upload import Release
from pipeline.expressions import CLASSES
from pipeline.source import Source
from tests.hub.test_staging import change_json, reseal
from tests.hub_server import LICENSES, HubServer, Repo
from tests.publish_faults import TOKEN, client_settings

REPO = "anna/fer-vit-tiny"


def of_photos(run: Path) -> None:
    """The run as if it was trained on somebody's photos."""
    photos = Source(id="photos", title="photos", layout="class folders", origin="local")
    change_json(run / "curation.json", lambda c: c.update(sources={"photos": c["sources"]["drawn"] | photos.to_json()}))
    reseal(run)


@pytest.fixture(scope="module", params=["drawn", "photos"])
def published(
    request: pytest.FixtureRequest, publishable_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Repo, ModelInfo]]:
    """The repository of a release, and what the Hub says of it."""
    place = tmp_path_factory.mktemp("release")
    path = shutil.copytree(publishable_run, place / "run")
    if request.param == "photos":
        of_photos(path)
    run = load_run(path)
    staging.stage(run, place / "staged", with_predictions=False)
    card = make_card(run, Publication(REPO, "v1.0", examples=example_scores(run)))
    (place / "staged" / "README.md").write_text(card, encoding="utf-8")
    with HubServer() as hub, client_settings([]):
        hub.add_user("anna", TOKEN)
        api = HfApi(endpoint=hub.url, token=TOKEN)
        upload.publish(api, place / "staged", Release(REPO, tag="v1.0"), False, print)
        yield hub.repo(REPO), api.model_info(REPO, revision="v1.0")


def test_the_hub_files_it_as_an_image_classifier_of_transformers(published: tuple[Repo, ModelInfo]) -> None:
    _, info = published
    assert (info.pipeline_tag, info.library_name) == ("image-classification", "transformers")
    assert {"transformers", "image-classification", "facial-expression-recognition", "vit"} <= set(info.tags)
    assert all(tag == tag.lower() and " " not in tag for tag in info.tags)


def test_its_classes_have_names(published: tuple[Repo, ModelInfo]) -> None:
    repo, _ = published
    config = json.loads(repo.files()["config.json"])
    assert config["id2label"] == {str(index): name for index, name in enumerate(CLASSES)}
    assert config["label2id"] == {name: index for index, name in enumerate(CLASSES)}
    assert config["architectures"] == ["ViTForImageClassification"]


def test_every_example_of_the_widget_is_a_picture_in_the_repository_with_its_scores(
    published: tuple[Repo, ModelInfo],
) -> None:
    repo, info = published
    assert [example["src"] for example in info.widget_data] == [f"examples/{name}.png" for name in sorted(CLASSES)]
    for example in info.widget_data:
        Image.open(io.BytesIO(repo.files()[example["src"]])).verify()
        assert example["src"] in {file.rfilename for file in info.siblings}
        assert example["example_title"].startswith(Path(example["src"]).stem)
        labels, scores = zip(*((one["label"], one["score"]) for one in example["output"]), strict=True)
        assert set(labels) == set(CLASSES) and list(scores) == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-3)


def test_its_licence_is_one_that_the_hub_knows_and_links_to_terms_that_are_there(
    published: tuple[Repo, ModelInfo],
) -> None:
    repo, info = published
    card, (source,) = info.card_data, json.loads(repo.files()["curation.json"])["sources"]
    assert f"/blob/v1.0/licences/{source}.txt)" in repo.files()["README.md"].decode()
    assert b"Terms: " in repo.files()[f"licences/{source}.txt"]
    assert card.license in LICENSES and f"license:{card.license}" in info.tags
    if card.license == "other":
        assert card.license_name == card.license_name.lower() and " " not in card.license_name
        page, _, heading = card.license_link.partition("#")
        assert page == f"https://huggingface.co/{REPO}"
        assert f"\n## {heading.title()}\n" in repo.files()["README.md"].decode()
    else:
        assert card.license_link is None


def test_its_figures_are_results_that_the_hub_shows(published: tuple[Repo, ModelInfo]) -> None:
    _, info = published
    results = info.card_data.eval_results
    assert {one.task_type for one in results} == {"image-classification"}
    assert {"accuracy", "f1"} <= {one.metric_type for one in results}
    assert all(isinstance(one.metric_value, float) and one.dataset_name for one in results)
    assert info.card_data.base_model is None, "it started from random weights"


def test_the_hub_refuses_a_licence_that_it_does_not_know(published: tuple[Repo, ModelInfo]) -> None:
    from tests.hub_server import card_errors

    content = published[0].files()["README.md"].decode()
    assert card_errors(content, "model") == []
    (error,) = card_errors(content.replace(f"license: {published[1].card_data.license}\n", "license: free\n"), "model")
    assert error.startswith('"license" must be one of')
