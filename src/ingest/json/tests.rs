use super::*;
use proptest::prelude::*;

fn pointer(text: &str) -> Pointer {
    let step = |step: &str| if step == "*" { Step::Each } else { Step::Member(step.to_owned()) };
    Pointer(text.split('/').skip(1).map(step).collect())
}

fn read(fields: &[&str], json: &str) -> Result<Vec<String>, JsonError> {
    let mut plan = Plan::new();
    let fields: Vec<Field> = fields.iter().map(|text| plan.add(&pointer(text))).collect();
    let mut document = Document::default();
    document.read(&mut plan, json.as_bytes())?;
    let all = |field: &Field| {
        let values = document.all(*field).map(|(path, value)| format!("{:?} {value:?}", &path[..2]));
        values.collect::<Vec<_>>().join("; ")
    };
    Ok(fields.iter().map(all).collect())
}

#[test]
fn named_fields_are_found() {
    let json = r#"{"a": {"b": 12345678901234567890123, "c": "x\u00e9", "d": [1.50, {"e": true}]}, "n": null, "b": 1}"#;
    let found = read(&["/a/b", "/a/c", "/a/d/0", "/a/d/1/e", "/n", "/missing", "/a"], json).unwrap();
    let expected = [
        "[0, 0] Number(\"12345678901234567890123\")",
        "[0, 0] Text(\"xé\")",
        "[0, 0] Number(\"1.50\")",
        "[0, 0] Bool(true)",
        "[0, 0] Null",
        "",
        "[0, 0] Object",
    ];
    assert_eq!(found, expected);
}

#[test]
fn each_element_has_its_path() {
    let json = r#"{"p": [{"ids": [1, 2]}, {"ids": []}, {"ids": [3]}, {}]}"#;
    let found = read(&["/p/*/ids/*", "/p/*"], json).unwrap();
    assert_eq!(found[0], "[0, 0] Number(\"1\"); [0, 1] Number(\"2\"); [2, 0] Number(\"3\")");
    assert_eq!(found[1], "[0, 0] Object; [1, 0] Object; [2, 0] Object; [3, 0] Object");
}

#[test]
fn what_is_no_document_is_refused() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    let many: String = (0..40).map(|n| format!("\"k{n}\": 1, ")).collect();
    let table = [
        ("", JsonError::Malformed),
        ("nul", JsonError::Malformed),
        ("{} {}", JsonError::Malformed),
        ("{\"a\": \"\0\"}", JsonError::Malformed),
        ("{\"a\": \"\\ud800\"}", JsonError::Malformed),
        (deep.as_str(), JsonError::TooDeep),
        (r#"{"a": 1, "a": 1}"#, JsonError::DuplicateMember),
        (r#"{"x": {"a": 1, "b": {"a": 1}, "a": 1}}"#, JsonError::DuplicateMember),
        (&format!("{{{many}\"k7\": 1}}"), JsonError::DuplicateMember),
        (&format!("{{{many}\"z\": 1, \"z\": 1}}"), JsonError::DuplicateMember),
    ];
    for (json, error) in table {
        assert_eq!(read(&["/a"], json), Err(error), "{json}");
    }
    assert!(read(&["/a"], &format!("[{{{many}\"z\": 1}}, {{\"k1\": 1}}]")).is_ok());
    let mut document = Document::default();
    assert_eq!(document.read(&mut Plan::new(), b"{\"a\": \"\xff\"}"), Err(JsonError::Malformed));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, json in "[\\[\\]{}\",:a0-9 .eE*-]{0,60}") {
        let mut plan = Plan::new();
        plan.add(&pointer("/a/*/0"));
        let mut document = Document::default();
        let _ = document.read(&mut plan, &bytes);
        // Whatever serde_json's own tree accepts, this accepts, but for members that stand twice.
        let outcome = document.read(&mut plan, json.as_bytes());
        let tree = serde_json::from_slice::<serde_json::Value>(json.as_bytes());
        proptest::prop_assert!(outcome.is_ok() == tree.is_ok() || outcome == Err(JsonError::DuplicateMember));
    }
}

/// What stands in each field, or why it can't be told; by the quick way alone, or by the other.
fn found_by(is_plain: bool, fields: &[&str], json: &[u8]) -> Option<Result<Vec<String>, JsonError>> {
    let mut plan = Plan::new();
    let fields: Vec<Field> = fields.iter().map(|text| plan.add(&pointer(text))).collect();
    let mut document = Document::default();
    document.clear(&plan);
    if is_plain && !plain::read(&mut plan, Some(0), json, &mut document) {
        return None;
    }
    if !is_plain && let Err(error) = document.walk_any(&plan, Some(0), json) {
        return Some(Err(error));
    }
    let all = |field: &Field| format!("{:?}", document.all(*field).collect::<Vec<_>>());
    Some(Ok(fields.iter().map(all).collect()))
}

const FIELDS: &[&str] =
    &["/a", "/b", "/a/b", "/a/*", "/a/*/b", "/a/*/b/*", "/b/0", "/b/1/a", "/c/*/*/*/*/*", "", "/é", "/a b"];

#[test]
fn most_documents_are_plain() {
    let table = [
        r#"{"event":"login","user":"4711","at":1772000000000,"page":"/a\"b\u00e9","n":-1.5,"ok":true}"#,
        r#" { "op" : "u" , "after" : { "a" : null , "b" : [ ] , "c" : { } } , "ts_ms" : 0 } "#,
        "[[1, 2.50], {\"a\": \"\"}]",
        "\"é\"",
    ];
    for json in table {
        assert!(matches!(found_by(true, FIELDS, json.as_bytes()), Some(Ok(_))), "{json}");
    }
}

#[test]
fn what_is_not_plain_is_left_to_serde_json() {
    let many: String = (0..200).map(|n| format!("\"k{n}\": 1, ")).collect();
    let table = [
        r#"{"a": 1e5}"#,
        r#"{"x": -0}"#,
        r#"{"a": 01}"#,
        r#"{"a": 1.}"#,
        r#"{"a": "\n"}"#,
        r#"{"x": "\ud83d\ude00"}"#,
        r#"{"\u0061": 1}"#,
        r#"{"a": 1, "a": 1}"#,
        r#"{"$serde_json::private::Number": "1"}"#,
        r#"{"a": 1,}"#,
        r#"{} {}"#,
        "{\"a\": \"\u{1}\"}",
        "",
        &("[".repeat(70) + &"]".repeat(70)),
        &format!("{{{many}\"z\": 1}}"),
    ];
    for json in table {
        assert_eq!(found_by(true, FIELDS, json.as_bytes()), None, "{json}");
    }
    assert_eq!(found_by(true, FIELDS, b"{\"x\": \"\xff\"}"), None);
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[abc]",
        1 => Just("a b".to_owned()),
        1 => Just("é".to_owned()),
        1 => Just("\\u0061".to_owned()),
        1 => Just("$serde_json::private::Number".to_owned()),
        3 => "[a-z_]{0,12}"
    ]
}

/// Mostly JSON, as text: written by hand, as it were, with all that is rare.
fn json() -> impl Strategy<Value = String> {
    let numbers = prop_oneof![
        "-?(0|[1-9][0-9]{0,25})",
        "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
        any::<i64>().prop_map(|n| n.to_string()),
        Just("18446744073709551615".to_owned()),
        Just("18446744073709551616".to_owned()),
        Just("-9223372036854775808".to_owned()),
        "0[0-9]|[0-9]\\.|-|\\+1|\\.5"
    ];
    let escapes =
        "([a-zé😀 ]|\\\\[\"\\\\/bfnrtx]|\\\\u[0-9a-fA-Fd]{4}|\\\\u[dD][89aA][0-9]{2}\\\\u[dD][c-f][0-9]{2}){0,24}";
    let texts = prop_oneof!["[ -!#-\\[\\]-~é😀]{0,40}", escapes].prop_map(|text| format!("\"{text}\""));
    let words = prop::sample::select(vec!["true", "false", "null", "nul", "True"]);
    let leaf = prop_oneof![3 => numbers, 3 => texts, 2 => words.prop_map(str::to_owned)];
    let gaps = || prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\n\t\r ")];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let element =
            (gaps(), inner.clone(), gaps()).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        let member = (gaps(), names(), gaps(), element.clone())
            .prop_map(|(before, name, after, value)| format!("{before}\"{name}\"{after}:{value}"));
        prop_oneof![
            prop::collection::vec(element, 0..5).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(member, 0..6).prop_map(|all| format!("{{{}}}", all.join(",")))
        ]
    })
}

/// What a plan that has read other documents finds in this one.
fn found_after_others(
    plan: &mut Plan,
    fields: &[Field],
    document: &mut Document,
    json: &[u8],
) -> Result<Vec<String>, JsonError> {
    document.read(plan, json)?;
    Ok(fields.iter().map(|field| format!("{:?}", document.all(*field).collect::<Vec<_>>())).collect())
}

fn all_fields() -> (Plan, Vec<Field>) {
    let mut plan = Plan::new();
    let fields = FIELDS.iter().map(|text| plan.add(&pointer(text))).collect();
    (plan, fields)
}

#[test]
fn values_change_and_the_shape_stays() {
    let (mut plan, fields) = all_fields();
    let mut document = Document::default();
    let table = [
        (r#"{"event": "login", "a": [{"b": "x"}, {"b": ""}], "n": -1.5, "b": 7}"#, 0),
        (r#"{"event": "", "a": [{"b": 12345678901234567890}, {"b": null}], "n": true, "b": "é"}"#, 1),
        (
            r#"{"event": "a quite long text, which goes on until it is longer than a word of quotes", "a": [{"b": "x"}, {"b": ""}], "n": 0, "b": false}"#,
            2,
        ),
        // One element more, a space less, a name that is longer: shapes of their own.
        (r#"{"event": "login", "a": [{"b": "x"}, {"b": ""}, {"b": 1}], "n": 1, "b": 7}"#, 2),
        (r#"{"event":"login", "a": [{"b": "x"}, {"b": ""}], "n": 1, "b": 7}"#, 2),
        (r#"{"event": "login", "a": [{"b": "x"}, {"b": ""}], "number": 1, "b": 7}"#, 2),
        // Known, and no JSON.
        (r#"{"event": "login", "a": [{"b": "x"}, {"b": ""}], "n": 01, "b": 7}"#, 2),
        (r#"{"event": "login", "a": [{"b": "x"}, {"b": ""}], "n": 1, "b": 7} 1"#, 2),
        (r#"{"event": "login", "a": [{"b": "x"}, {"b": ""}], "n": tru, "b": 7}"#, 2),
        (r#"{"event": "login", "a": [{"b": "x"}, {"b": ""}], "n": 1, "b": 7"#, 2),
        (r#"{"event": "login", "a": [{"b": "x"}, {"b": ""}], "n": 1, "b": "#, 2),
        (r#"{"event": "login", "a": [{"b": "x"}, {"b": ""}, {"b": 1}], "n": 1, "b": 7}"#, 3),
        // What has escapes is read without.
        (r#"{"event": "\n", "a": [{"b": "x"}, {"b": ""}], "n": 1, "b": 7}"#, 3),
        (r#"{"event": "login", "a": [{"b": "x"}, {"b": ""}], "n": 1, "b": 7}"#, 4),
    ];
    for (json, fitted) in table {
        let found = found_after_others(&mut plan, &fields, &mut document, json.as_bytes());
        assert_eq!(Some(found), found_by(false, FIELDS, json.as_bytes()), "{json}");
        assert_eq!(plan.shapes.fitted(), fitted, "{json}");
    }
    // A pointer that is added makes what was learnt wrong.
    let number = plan.add(&pointer("/number"));
    let json = br#"{"event": "login", "a": [{"b": "x"}, {"b": ""}], "number": 1, "b": 7}"#;
    document.read(&mut plan, json).unwrap();
    assert_eq!(document.first(number), Some(Value::Number("1")));
}

#[test]
fn documents_that_all_look_different_are_not_learnt_for_long() {
    let (mut plan, fields) = all_fields();
    let mut document = Document::default();
    for number in 0..1000 {
        let json = format!("{{\"a\": {number}, \"x{number}\": 1}}");
        assert!(found_after_others(&mut plan, &fields, &mut document, json.as_bytes()).is_ok());
    }
    assert!(!plan.shapes.are_useful());
    let many = format!("[{}]", "0, ".repeat(10_000) + "0");
    let (mut plan, fields) = all_fields();
    for _ in 0..3 {
        assert!(found_after_others(&mut plan, &fields, &mut document, many.as_bytes()).is_ok());
    }
    assert_eq!(plan.shapes.fitted(), 0);
}

type Change = (prop::sample::Index, u8, u8);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..3)
}

fn changed(json: String, changes: &[Change]) -> Vec<u8> {
    let mut bytes = json.into_bytes();
    for (place, byte, what) in changes {
        let place = place.index(bytes.len() + 1);
        match what {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, *byte),
            2 => bytes.insert(place, b"\"\\{}[]:,0-9eE. \n"[usize::from(*byte) % 16]),
            _ => _ = bytes.get_mut(place).map(|at| *at = *byte),
        }
    }
    bytes
}

proptest! {
    /// Both ways to read say the same of whatever is plain.
    #[test]
    fn plain_documents_are_read_as_serde_json_reads_them(
        json in json(),
        changes in changes()
    ) {
        let bytes = changed(json, &changes);
        if let Some(plain) = found_by(true, FIELDS, &bytes) {
            prop_assert_eq!(Some(plain), found_by(false, FIELDS, &bytes));
        }
    }

    /// And whatever a plan has read before, it finds the same as one that has read nothing.
    #[test]
    fn what_was_read_before_changes_nothing(
        jsons in prop::collection::vec(json(), 1..4),
        series in prop::collection::vec((any::<prop::sample::Index>(), any::<[bool; 2]>(), changes()), 2..12)
    ) {
        let (mut plan, fields) = all_fields();
        let mut document = Document::default();
        for (place, [is_changed, has_own_values], changes) in series {
            let mut json = place.get(&jsons).clone();
            if has_own_values {
                json = json.replace('1', "22").replace("true", "null").replace(" ", "\"x\"");
            }
            let bytes = changed(json, if is_changed { &changes } else { &[] });
            let found = found_after_others(&mut plan, &fields, &mut document, &bytes);
            prop_assert_eq!(Some(found), found_by(false, FIELDS, &bytes));
        }
    }
}
