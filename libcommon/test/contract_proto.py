"""proto/generate.py refuses a schema that the C side cannot take, and says where."""
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAD = 'syntax = "proto3"; package souk.try.v1; import "souk/options/v1/rules.proto";\n'


def generate(folder: pathlib.Path, messages: str) -> tuple[int, str, str]:
    """What generate.py makes of these messages: its exit status, its error, its table."""
    shutil.copytree(ROOT / "proto/souk/options", folder / "proto/souk/options")
    proto, out = folder / "proto/souk/try/v1/events.proto", folder / "types.c"
    proto.parent.mkdir(parents=True)
    proto.write_text(HEAD + messages)
    done = subprocess.run([sys.executable, ROOT / "proto/generate.py", "--out", out, "souk/try/v1/events.proto"],
                          cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, out.read_text() if out.exists() else ""


def rules(kind: str, text: str) -> str:
    return f"message A {{ {kind} x = 1 [(souk.options.v1.rules) = {{{text}}}]; }}"


@pytest.mark.parametrize("messages, why", [
    ("message A { A next = 1; }", "souk.try.v1.A: recursive types are refused"),
    ("message A { repeated B list = 1; } message B { C c = 1; } message C { A a = 1; }", "recursive types"),
    ('message A { option (souk.options.v1.entity) = "order_id"; string id = 1; }', "entity order_id is no field"),
    ("message A { message B { int64 x = 1; } B b = 1; }", "souk.try.v1.A: souk.try.v1.A.B is not used here"),
    ("message A { map<string, string> m = 1; }", "souk.try.v1.A: souk.try.v1.A.MEntry is not used here"),
    ("message A { souk.options.v1.Range r = 1; }", "souk.try.v1.A: souk.options.v1.Range is not used here"),
    ("message A { double price = 1; }", "souk.try.v1.A.price: float and double"),
    ("message A { oneof x { string a = 1; int64 b = 2; } }", "souk.try.v1.A.a: oneof and optional"),
    ("message A { optional int64 x = 1; }", "souk.try.v1.A.x: oneof and optional"),
    (rules("int64", "uuid: true"), "souk.try.v1.A.x: uuid is not for a field of this kind"),
    (rules("string", "range: {min: 1, max: 2}"), "range is not for a field of this kind"),
    (rules("string", "max_count: 2"), "max_count is not for a field of this kind"),
    (rules("int64", "max_bytes: 2"), "max_bytes is not for a field of this kind"),
    (rules("bool", "required: true"), "required is not for a field of this kind"),
    (rules("int64", "range: {min: 2, max: 1}"), "the range is empty"),
])
def test_what_the_c_side_cannot_take_is_refused(tmp_path, messages, why):
    status, error, table = generate(tmp_path, messages)
    assert status != 0 and why in error and table == ""


def test_rules_and_entities_become_rows(tmp_path):
    status, error, table = generate(tmp_path, """
        message OrderLine { string note = 1; }
        message OrderMade {
          option (souk.options.v1.entity) = "order_id";
          string order_id = 1 [(souk.options.v1.rules) = {uuid: true, required: true}];
          repeated OrderLine lines = 2 [(souk.options.v1.rules) = {max_count: 3}];
          int64 version = 3 [(souk.options.v1.rules) = {range: {min: -1, max: 5}}];
        }""")
    assert status == 0, error
    assert '{ .field = "order_id", .required = true, .uuid = true },' in table
    assert '{ .field = "lines", .max_count = 3 },' in table
    assert '{ .field = "version", .has_range = true, .min = -1, .max = 5 },' in table
    assert '{ "souk.try.v1.OrderLine", &souk__try__v1__order_line__descriptor, NULL, 0, NULL },' in table
    assert ('{ "souk.try.v1.OrderMade", &souk__try__v1__order_made__descriptor, souk__try__v1__order_made__rules, 3, '
            '"order_id" },') in table
    assert "SK_MESSAGE_TYPES_COUNT = 2;" in table
