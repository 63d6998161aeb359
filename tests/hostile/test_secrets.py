"""Planted secrets: each kind, in each place of each kind of file that is published, is refused and never printed."""

import base64
import getpass
import gzip
import json
import socket
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from onnx import TensorProto, helper
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.numpy import save_file
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto as EventTensor
from tensorboard.summary.writer.record_writer import RecordWriter

from hub.privacy import clean_events, refuse_private
from pipeline.errors import InputError

ROOT = "/"  # apart, so that no path of a machine stands in this file
HEX, LETTERS = "0123456789abcdef" * 8, "aB3dE5gH7jK9mN1pQ4sT6vW8xY0zC2fL" * 8


def made(prefix: str, length: int = 36, body: str = LETTERS) -> str:
    """A token that nobody has: its parts stand apart in this file, so that no scanner of code reports it."""
    return prefix + body[:length]


def basic(words: str) -> str:
    return base64.b64encode(words.encode()).decode()


TOKEN = made("hf_", 34)
JWT = f"{made('eyJ', 30)}.{made('eyJ', 60)}.{made('', 43)}"
SECRETS = {
    "hugging face": TOKEN,
    "hugging face, behind a letter": "x" + TOKEN,
    "hugging face, behind a name": "HF_TOKEN_" + TOKEN,
    "hugging face organisation": made("api_org_", 34),
    "hugging face oauth": made("hf_oauth_", 40),
    "hugging face oauth, web token": "hf_oauth_" + JWT,
    "github": made("ghp_"),
    "github, fine": made("github_pat_", 82),
    "github app": made("ghs_"),
    "gitlab": made("glpat-", 20),
    "gitlab, all letters equal": "glpat-" + 20 * "x",
    "gitlab runner": made("glrt-", 20),
    "gitlab deploy": made("gldt-", 20),
    "bitbucket": made("ATBB", 32),
    "slack bot": "xoxb-" + "123456789012-" + LETTERS[:24],
    "slack user": "xoxp-" + "123456789012-" + LETTERS[:24],
    "slack app": "xapp-1-A0123-" + HEX[:40],
    "slack hook": "https://hooks.slack.com/services" + f"/T0{HEX[:8]}/B0{HEX[:8]}/{LETTERS[:24]}",
    "discord hook": "https://discord.com/api/webhooks/123456789012345678/" + LETTERS[:60],
    "npm": made("npm_"),
    "npm, old": "//registry.npmjs.org/:_authToken=" + HEX[:32],
    "pypi": made("pypi-", 80),
    "pypi, as they begin": made("pypi-AgEIcHlwaS5vcmc", 80),
    "rubygems": made("rubygems_", 48, HEX),
    "docker": made("dckr_pat_", 27),
    "web token": JWT,
    "aws id": "AKIA" + "Z3Q5X7R2" * 2,
    "aws session id": "ASIA" + "Z3Q5X7R2" * 2,
    "aws secret": "AWS_SECRET_ACCESS_KEY=" + LETTERS[:40],
    "google": made("AIza", 35),
    "google oauth": made("ya29.", 60),
    "google client": made("GOCSPX-", 28),
    "google service account": "-----BEGIN " + "PRIVATE KEY-----",
    "azure client": "abc8Q~" + LETTERS[:34],
    "azure storage": "AccountKey=" + LETTERS[:86] + "==",
    "azure address": "https://faces.blob.core.windows.net/x?sv=2026&sig=" + LETTERS[:43],
    "openai": made("sk-proj-", 48),
    "openai, old": made("sk-", 48),
    "anthropic": made("sk-ant-api03-", 90),
    "groq": made("gsk_", 52),
    "replicate": made("r8_", 37),
    "weights and biases": "WANDB_API_KEY=" + HEX[:40],
    "weights and biases, netrc": "machine api.wandb.ai login user password " + HEX[:40],
    "kaggle": json.dumps({"username": "somebody", "key": HEX[:32]}),
    "databricks": made("dapi", 32, HEX),
    "stripe": made("sk_live_", 24),
    "stripe test": made("rk_test_", 24),
    "sendgrid": f"SG.{LETTERS[:22]}.{LETTERS[:43]}",
    "mailgun": "key-" + HEX[:32],
    "mailchimp": HEX[:32] + "-us12",
    "twilio": "SK" + HEX[:32],
    "telegram": "123456789:AA" + LETTERS[:33],
    "digital ocean": made("dop_v1_", 64, HEX),
    "notion": made("ntn_", 46),
    "vault": made("hvs.", 90),
    "grafana": made("glsa_", 32),
    "supabase": made("sbp_", 40, HEX),
    "private key, rsa": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "private key, ssh": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "private key, pgp": "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----",
    "password in an address": "https://" + "somebody:hunter22@example.org/faces",
    "password of a database": "postgresql://" + "somebody:hunter22@db:5432/faces",
    "token for git": "https://" + f"oauth2:{LETTERS[:20]}@example.org/faces.git",
    "token in an address": "https://example.org/x?access_token=" + LETTERS[:24],
    "signed address": "https://b.s3.amazonaws.com/x?X-Amz-Signature=" + HEX[:64],
    "authorization": "Authorization: Bearer " + LETTERS[:32],
    "authorization, token": "authorization: token " + LETTERS[:32],
    "authorization, basic": "Authorization: Basic " + basic("somebody:hunter22"),
    "authorization in code": "{'Authorization': 'Bearer " + LETTERS[:32] + "'}",
    "cookie": "Cookie: session=" + LETTERS[:40],
    "password": "password: hunter22hunter22",
    "password of letters": json.dumps({"db_password": "correcthorsebattery"}),
    "password of a shell": "export MLFLOW_TRACKING_PASSWORD" + "=correcthorsebattery",
    "password in a command": "curl -u " + "somebody:hunter22 https://example.org/faces",
    "password of ssh": "sshpass -p " + "hunter22 ssh somewhere",
    "token after its name": "ZENODO_TOKEN=" + LETTERS[:60],
    "github, old": "GITHUB_TOKEN: " + HEX[:40],
    "session": "aws_session_token = " + LETTERS[:100],
    "azure devops": LETTERS[:76] + "AZDO" + LETTERS[:4],
    "square": made("EAAA", 60),
    "runpod": made("rpa_", 40),
    "modal": made("ak-", 22),
    "pulumi": made("pul-", 40, HEX),
    "terraform": LETTERS[:14] + ".atlasv1." + LETTERS[:64],
    "private key, ssh2": "---- BEGIN SSH2 ENCRYPTED " + "PRIVATE KEY ----",
    "private key of the web": json.dumps({"kty": "RSA", "n": "x", "d": LETTERS[:80]}),
    "private key of the web, turned": json.dumps({"d": LETTERS[:80], "n": "x", "kty": "OKP"}),
    "api key": "api_key = '" + HEX[:32] + "'",
    "client secret": "client_secret: " + LETTERS[:32],
}
PATHS = {
    "home": f"{ROOT}home/somebody/faces",
    "mac": f"{ROOT}Users/somebody/faces",
    "mount": f"{ROOT}mnt/faces/raw",
    "cluster": f"{ROOT}gpfs/project12/faces",
    "lustre": f"{ROOT}lustre01/somebody/faces",
    "scratch": f"{ROOT}scratch/somebody/faces",
    "shared": f"{ROOT}shared/lab/faces",
    "network": f"{ROOT}net/nas01/faces",
    "nas": f"nas:{ROOT}volume1/faces/raw",
    "rented notebook": f"{ROOT}teamspace/studios/this/faces",
    "databricks": "dbfs:/faces/raw",
    "windows": r"C:\Users\somebody\faces",
    "windows, forward": "D:/faces/somebody",
    "share": r"\\server\share\faces",
    "s3": "s3://bucket-of-the-lab/faces",
    "google": "gs://bucket-of-the-lab/faces",
    "azure": "abfss://faces@lab.dfs.core.windows.net/x",
    "hdfs": "hdfs://lab/faces",
    "smb": "smb://server/faces",
    "file": f"file:{ROOT}{ROOT}{ROOT}faces/x.png",
}
PRIVATE = SECRETS | {f"path, {name}": path for name, path in PATHS.items()}
INNOCENT = {
    "sha256": HEX[:64],
    "sha1": HEX[:40],
    "md5": HEX[:32],
    "git revision": "0f3c9a1-dirty",
    "uuid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "base64 of numbers": base64.b64encode(np.linspace(-1, 1, 200, dtype=np.float32).tobytes()).decode(),
    "base64 of a picture": "data:image/png;base64," + base64.b64encode(bytes(range(256))).decode(),
    "run name": "ferplus_vit_tiny_cpu-seed0-2026-11-30T19:14:36",
    "recipe": "blog_vit_tiny",
    "hub id": "WinKawaks/vit-tiny-patch16-224",
    "timm id": "timm/vit_tiny_patch16_224.augreg_in21k",
    "key of a picture": "test/fer0034567.png",
    "key of a person": "S052_004_00000031",
    "tensor": "vit.encoder.layer.0.attention.attention.query.weight",
    "node": "vit/encoder/layer.0/MatMul_output_0",
    "metric": "balanced_accuracy 0.883 [0.871, 0.894]",
    "address": "https://huggingface.co/user/fer-vit-tiny/resolve/v1.0/model.safetensors",
    "address with a query": "https://huggingface.co/api/models?search=facial-expression-recognition&sort=downloads",
    "address with a port": "http://127.0.0.1:8000/predict",
    "address with an at": "https://medium.com/@somebody/facial-expressions",
    "doi": "https://doi.org/10.1177/1529100619832930",
    "arxiv": "arXiv:1708.03985v4 [cs.CV]",
    "mail to the authors": "contact authors@example.org",
    "setting of a Space": "hf_oauth_expiration_minutes: 480",
    "function of a library": "hf_hub_download, hf_transfer_enabled_by_default",
    "name of a variable": "set HF_TOKEN, or WANDB_API_KEY, to your token",
    "variable in a header": 'headers={"Authorization": f"Bearer {token}"}',
    "variable of a shell": 'curl -H "Authorization: Bearer $HF_TOKEN" https://example.org',
    "words about keys": "the key of the picture, the secret of good data, the token of a word",
    "words about passwords": "Password: none is needed",
    "tokenizer": "tokenizer_class: null, pad_token_id: 50256, special_tokens: []",
    "bearer": "the bearer of this letter; bearer responsibilities",
    "sklearn": "scikit-learn 1.9.1, sk-learn like estimators",
    "risk": "high-risk-ai-systems-regulation-2024-1689",
    "task": "task-specific-fine-tuning-results-2026",
    "address of a package": "https://example.org/project/pypi-simple-repository-name",
    "ratio": "pictures/second, and/or, 1/255, image/png, n/a",
    "tilde": "~60 minutes, ~5 px/frame",
    "module": "python -m pipeline.evaluation runs/quickstart",
    "relative path": "runs/quickstart/examples/happiness.png",
    "placeholder": "--data_path DIR --checkpoint DIR_OR_HUB_ID",
    "pattern": r"r'\w+\d+' and \\alpha",
    "latex": r"\frac{1}{n} \sum_i \alpha_i",
    "colour": "#1f77b4 and rgb(31, 119, 180)",
    "time": "2026-11-30T19:14:36.123456+00:00",
    "version": "torch 2.14.1+cu130, numpy 2.4.6, cp311-manylinux_2_28_x86_64",
    "processor": "Intel(R) Xeon(R) Platinum 8488C, 2 cores",
    "device": "NVIDIA H200, 139 GiB, CUDA 13.0",
    "class names": "anger, disgust, fear, happiness, neutral, sadness, surprise",
    "names in other scripts": "悲しい, счастье, überrascht, مفاجأة",
    "emoji": "🙂 🙁 😮",
    "spdx": "CC-BY-NC-SA-4.0 OR Apache-2.0",
    "bibtex": "@inproceedings{li2017reliable, title = {Reliable Crowdsourcing}, pages = {2852--2861}}",
    "model index": "FER+: test rows without a pixel copy in train or validation",
    "json schema": '{"$ref": "#/definitions/Answer"}',
    "long number": "12345678901234567890123456789012345678901234567890",
    "snake case": "train_rows_without_a_copy_in_validation_or_test_2026",
    "kebab case": "train-rows-without-a-copy-in-validation-or-test-2026",
    "camel case": "ViTForImageClassificationWithRelativePositionBias2D",
    "access": "access: everybody may read; key_padding_mask: None",
    "mime": "application/vnd.apache.parquet; charset=utf-8",
}

Put = Callable[[Path, str], str]


def in_card(folder: Path, text: str) -> str:
    (folder / "README.md").write_text(f"# A card\n\n{text}\n", encoding="utf-8")
    return "README.md"


def in_card_escaped(folder: Path, text: str) -> str:
    return in_card(folder, text.replace("_", "\\_").replace(":", "&#58;"))


def in_recipe(folder: Path, text: str) -> str:
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"name": text}, width=20), encoding="utf-8")
    return "recipe.yaml"


def in_recipe_comment(folder: Path, text: str) -> str:
    (folder / "recipe.yaml").write_text(f"# {text}\nseed: 0\n", encoding="utf-8")
    return "recipe.yaml"


def in_json(folder: Path, text: str) -> str:
    (folder / "config.json").write_text(json.dumps({"a": [{"b": text}]}), encoding="utf-8")
    return "config.json"


def in_json_escapes(folder: Path, text: str) -> str:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in text if ord(letter) < 0x10000)
    (folder / "config.json").write_text(f'{{"a": "{escaped}"}}')
    return "config.json"


def in_json_twice(folder: Path, text: str) -> str:
    (folder / "config.json").write_text(f'{{"a": {json.dumps(text)}, "a": "harmless"}}')
    return "config.json"


def in_json_name(folder: Path, text: str) -> str:
    (folder / "config.json").write_text(json.dumps({text: 1}))
    return "config.json"


def in_notebook(folder: Path, text: str) -> str:
    (folder / "notebook.ipynb").write_text(json.dumps({"cells": [{"source": [f"x = 1  # {text}\n"]}]}))
    return "notebook.ipynb"


def in_base64(folder: Path, text: str) -> str:
    return in_json(folder, base64.b64encode(text.encode()).decode())


def in_base64_of_gzip(folder: Path, text: str) -> str:
    return in_json(folder, base64.b64encode(gzip.compress(text.encode())).decode())


def in_csv(folder: Path, text: str) -> str:
    (folder / "results.csv").write_text(f'run,note\n1,"{text}"\n', encoding="utf-8")
    return "results.csv"


def in_utf_16(folder: Path, text: str) -> str:
    (folder / "notes.txt").write_text(text, encoding="utf-16-le")
    return "notes.txt"


def in_utf_16_with_mark(folder: Path, text: str) -> str:
    (folder / "notes.txt").write_text(text, encoding="utf-16")
    return "notes.txt"


def write_table(folder: Path, table: pa.Table) -> str:
    pq.write_table(table, folder / "predictions.parquet")
    return "predictions.parquet"


def in_column(folder: Path, text: str) -> str:
    return write_table(folder, pa.table({"key": ["a.png", text]}))


def in_large_column(folder: Path, text: str) -> str:
    return write_table(folder, pa.table({"key": pa.array([text], pa.large_string())}))


def in_codes(folder: Path, text: str) -> str:
    return write_table(folder, pa.table({"source": pa.array(["a", text]).dictionary_encode()}))


def in_record(folder: Path, text: str) -> str:
    return write_table(folder, pa.table({"image": [{"bytes": b"x", "path": text}]}))


def in_list_of_records(folder: Path, text: str) -> str:
    return write_table(folder, pa.table({"faces": [[{"box": [1.0], "notes": [text]}]]}))


def in_map(folder: Path, text: str) -> str:
    return write_table(folder, pa.table({"m": pa.array([[(text, 1)]], pa.map_(pa.string(), pa.int8()))}))


def in_binary_column(folder: Path, text: str) -> str:
    return write_table(folder, pa.table({"b": [text.encode()]}))


def in_column_name(folder: Path, text: str) -> str:
    return write_table(folder, pa.table({text: [1]}))


def in_nested_column_name(folder: Path, text: str) -> str:
    return write_table(folder, pa.table({"a": [{text: 1}]}))


def in_table_metadata(folder: Path, text: str) -> str:
    return write_table(folder, pa.table({"a": [1]}).replace_schema_metadata({"from": text}))


def in_field_metadata(folder: Path, text: str) -> str:
    schema = pa.schema([pa.field("a", pa.int64(), metadata={"from": text})])
    return write_table(folder, pa.table({"a": [1]}, schema=schema))


def png_bytes(**note: str) -> bytes:
    notes, file = PngInfo(), BytesIO()
    for kind, text in note.items():
        if kind == "itxt":
            notes.add_itxt("Comment", text, "en", "a note", zip=True)
        else:
            notes.add_text("Comment", text, zip=kind == "ztxt")
    Image.new("L", (8, 8)).save(file, "PNG", pnginfo=notes)
    return file.getvalue()


def in_png(folder: Path, data: bytes) -> str:
    (folder / "face.png").write_bytes(data)
    return "face.png"


def in_text_note(folder: Path, text: str) -> str:
    return in_png(folder, png_bytes(text=text))


def in_compressed_note(folder: Path, text: str) -> str:
    return in_png(folder, png_bytes(ztxt=text))


def in_international_note(folder: Path, text: str) -> str:
    return in_png(folder, png_bytes(itxt=text))


def behind_the_end(folder: Path, text: str) -> str:
    return in_png(folder, png_bytes() + text.encode())


def compressed_behind_the_end(folder: Path, text: str) -> str:
    return in_png(folder, png_bytes() + gzip.compress(text.encode()))


def with_chunk(name: bytes, content: bytes) -> bytes:
    data, body = png_bytes(), name + content
    return data[:-12] + struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body)) + data[-12:]


def in_private_chunk(folder: Path, text: str) -> str:
    return in_png(folder, with_chunk(b"faCe", text.encode()))


def in_compressed_private_chunk(folder: Path, text: str) -> str:
    return in_png(folder, with_chunk(b"faCe", zlib.compress(text.encode())))


def exif(text: str) -> Image.Exif:
    notes = Image.Exif()
    notes[0x9C9C] = text.encode("utf-16-le")  # XPComment, as Windows writes it
    return notes


def in_utf_16_of_a_camera(folder: Path, text: str) -> str:
    Image.new("L", (8, 8)).save(folder / "face.png", exif=exif(text))
    return "face.png"


def jpeg_bytes(**notes: object) -> bytes:
    Image.new("RGB", (8, 8)).save(file := BytesIO(), "JPEG", **notes)
    return file.getvalue()


def in_picture_of_a_table(folder: Path, data: bytes) -> str:
    return write_table(folder, pa.table({"image": [{"bytes": data, "path": "a.jpg"}]}))


def in_jpeg_comment(folder: Path, text: str) -> str:
    return in_picture_of_a_table(folder, jpeg_bytes(comment=text.encode()))


def in_jpeg_exif(folder: Path, text: str) -> str:
    return in_picture_of_a_table(folder, jpeg_bytes(exif=exif(text)))


def in_jpeg_xmp(folder: Path, text: str) -> str:
    return in_picture_of_a_table(folder, jpeg_bytes(xmp=f"<x:xmpmeta>{text}</x:xmpmeta>".encode()))


def behind_a_jpeg(folder: Path, text: str) -> str:
    return in_picture_of_a_table(folder, jpeg_bytes() + text.encode())


def in_png_of_a_table(folder: Path, text: str) -> str:
    return in_picture_of_a_table(folder, png_bytes(ztxt=text))


def in_webp_of_a_table(folder: Path, text: str) -> str:
    Image.new("RGB", (8, 8)).save(file := BytesIO(), "WEBP", exif=exif(text))
    return in_picture_of_a_table(folder, file.getvalue())


def write_event(path: Path, value: Summary.Value) -> str:
    with path.open("wb") as file:
        RecordWriter(file).write(Event(summary=Summary(value=[value])).SerializeToString())
    return path.name


def in_event_text(folder: Path, text: str) -> str:
    value = Summary.Value(tag="settings", tensor=EventTensor(string_val=[text.encode()]))
    return write_event(folder / "events.out.tfevents.1", value)


def in_event_tag(folder: Path, text: str) -> str:
    return write_event(folder / "events.out.tfevents.1", Summary.Value(tag=text, simple_value=1.0))


def in_event_picture(folder: Path, text: str) -> str:
    """A picture of TensorBoard, as it is after staging has cleaned the file."""
    picture = Summary.Image(height=8, width=8, colorspace=1, encoded_image_string=png_bytes(ztxt=text))
    write_event(folder / "raw", Summary.Value(tag="matrix", image=picture))
    clean_events(folder / "raw", folder / "events.out.tfevents.1")
    (folder / "raw").unlink()
    return "events.out.tfevents.1"


def in_weights(folder: Path, text: str) -> str:
    save_file({"w": np.zeros(3, np.float32)}, folder / "model.safetensors", metadata={"from": text})
    return "model.safetensors"


def in_tensor_name(folder: Path, text: str) -> str:
    save_file({text: np.zeros(3, np.float32)}, folder / "model.safetensors")
    return "model.safetensors"


def behind_the_weights(folder: Path, text: str) -> str:
    save_file({"w": np.frombuffer(text.encode().ljust(400, b"\0"), np.uint8)}, folder / "model.safetensors")
    return "model.safetensors"


def write_onnx(folder: Path, node: onnx.NodeProto, **metadata: str) -> str:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("pixel_values", "logits")]
    model = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:]))
    helper.set_model_props(model, metadata)
    onnx.save(model, folder / "model.onnx")
    return "model.onnx"


def in_onnx_doc(folder: Path, text: str) -> str:
    return write_onnx(folder, helper.make_node("Identity", ["pixel_values"], ["logits"], doc_string=text))


def in_onnx_metadata(folder: Path, text: str) -> str:
    return write_onnx(folder, helper.make_node("Identity", ["pixel_values"], ["logits"]), classes=text)


def in_onnx_attribute(folder: Path, text: str) -> str:
    return write_onnx(folder, helper.make_node("Identity", ["pixel_values"], ["logits"], note=text))


def in_file_name(folder: Path, text: str) -> str:
    name = text.replace("/", "_").replace("\0", "")[:100]
    (folder / f"{name}.txt").write_text("")
    return ".txt"


PLACES: tuple[Put, ...] = (
    in_card, in_card_escaped, in_recipe, in_recipe_comment, in_json, in_json_escapes, in_json_twice, in_json_name,
    in_notebook, in_base64, in_base64_of_gzip, in_csv, in_utf_16, in_utf_16_with_mark, in_column, in_large_column,
    in_codes, in_record, in_list_of_records, in_map, in_binary_column, in_column_name, in_nested_column_name,
    in_table_metadata, in_field_metadata, in_text_note, in_compressed_note, in_international_note, behind_the_end,
    compressed_behind_the_end, in_private_chunk, in_compressed_private_chunk, in_utf_16_of_a_camera, in_jpeg_comment,
    in_jpeg_exif, in_jpeg_xmp, behind_a_jpeg, in_png_of_a_table, in_webp_of_a_table, in_event_text, in_event_tag,
    in_event_picture, in_weights, in_tensor_name, behind_the_weights, in_onnx_doc, in_onnx_metadata, in_onnx_attribute,
)  # fmt: skip
NOT_FOR_PATHS = (behind_the_weights, in_base64_of_gzip, behind_a_jpeg)
"""Numbers and pixels show short paths by chance, so there only secrets and long paths are searched for."""


@pytest.fixture(autouse=True)
def _somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "user")  # names are searched for in tests/hub/test_privacy.py
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    monkeypatch.delenv("HF_TOKEN", raising=False)


def refused(folder: Path, file: str, text: str) -> None:
    """The folder is refused in one line that names the file and does not hold the text."""
    with pytest.raises(InputError, match="nothing was sent") as caught:
        refuse_private(folder, "somebody-else")
    said = str(caught.value)
    assert file in said and "staged folder contains" in said and said.isprintable()
    if text in SECRETS.values():
        assert not any(text[at : at + 20] in said for at in range(max(len(text) - 19, 1)))


@pytest.mark.parametrize("text", PRIVATE.values(), ids=PRIVATE)
def test_every_secret_and_path_in_a_card_is_refused(text: str, tmp_path: Path) -> None:
    refused(tmp_path, in_card(tmp_path, f"see {text} for it"), text)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_token_is_found_wherever_it_is(place: Put, tmp_path: Path) -> None:
    refused(tmp_path, place(tmp_path, TOKEN), TOKEN)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("text", PRIVATE.values(), ids=PRIVATE)
def test_everything_private_is_found_everywhere(place: Put, text: str, tmp_path: Path) -> None:
    if text in PATHS.values() and place in NOT_FOR_PATHS:
        pytest.skip("only secrets and long paths")
    refused(tmp_path, place(tmp_path, text), text)


@pytest.mark.parametrize("place", [in_json, in_recipe, in_record, in_weights], ids=lambda place: place.__name__)
def test_a_value_that_is_a_path_from_any_root_is_refused(place: Put, tmp_path: Path) -> None:
    text = f"{ROOT}faces-of-ours/raw"
    refused(tmp_path, place(tmp_path, text), text)


def test_a_secret_in_a_file_name_is_found_and_not_printed(tmp_path: Path) -> None:
    refused(tmp_path, in_file_name(tmp_path, TOKEN), TOKEN)


@pytest.mark.parametrize("place", [in_card, in_json, in_recipe, in_column], ids=lambda place: place.__name__)
@pytest.mark.parametrize("text", INNOCENT.values(), ids=INNOCENT)
def test_what_is_innocent_passes(place: Put, text: str, tmp_path: Path) -> None:
    place(tmp_path, text)
    refuse_private(tmp_path, "somebody-else")


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("text", INNOCENT.values(), ids=INNOCENT)
def test_what_is_innocent_passes_everywhere(place: Put, text: str, tmp_path: Path) -> None:
    place(tmp_path, text)
    refuse_private(tmp_path, "somebody-else")
