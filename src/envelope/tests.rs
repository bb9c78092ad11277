//! What is written can be read again, whatever it is; what is wrong is refused with its name.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::message::{HeaderValue, Headers, Message};

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[!a-z]{0,3}",
        vec(any::<char>(), 0..20).prop_map(String::from_iter),
    ]
}

fn any_header() -> impl Strategy<Value = HeaderValue> {
    let leaf = prop_oneof![
        Just(HeaderValue::Void),
        any::<bool>().prop_map(HeaderValue::Boolean),
        any::<i8>().prop_map(HeaderValue::Int8),
        any::<u8>().prop_map(HeaderValue::UInt8),
        any::<i16>().prop_map(HeaderValue::Int16),
        any::<u16>().prop_map(HeaderValue::UInt16),
        any::<i32>().prop_map(HeaderValue::Int32),
        any::<u32>().prop_map(HeaderValue::UInt32),
        any::<i64>().prop_map(HeaderValue::Int64),
        (-9i64..9).prop_map(HeaderValue::Int64),
        // NaN is not equal to itself; it has a test of its own.
        any::<f32>().prop_map(HeaderValue::Float),
        any::<f64>().prop_map(HeaderValue::Double),
        (-9i8..9).prop_map(|whole| HeaderValue::Double(f64::from(whole))),
        (any::<u8>(), any::<u32>())
            .prop_map(|(scale, value)| HeaderValue::Decimal { scale, value }),
        any_text().prop_map(HeaderValue::String),
        vec(any::<u8>(), 0..20).prop_map(HeaderValue::Bytes),
        any::<u64>().prop_map(HeaderValue::Timestamp),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(HeaderValue::Array),
            btree_map(any_text(), inner, 0..5).prop_map(HeaderValue::Table),
        ]
    })
}

prop_compose! {
    fn any_properties()(
        texts in vec(option::of(any_text()), 9),
        headers in option::of(btree_map(any_text(), any_header(), 0..5)),
        delivery_mode in option::of(1..=2u8),
        priority in any::<Option<u8>>(),
        timestamp in any::<Option<u64>>(),
    ) -> Properties {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().flatten();
        Properties {
            content_type: text(),
            content_encoding: text(),
            headers,
            delivery_mode,
            priority,
            correlation_id: text(),
            reply_to: text(),
            expiration: text(),
            message_id: text(),
            timestamp,
            kind: text(),
            user_id: text(),
            app_id: text(),
        }
    }
}

prop_compose! {
    fn any_message()(
        exchange in any_text(),
        routing_key in any_text(),
        properties in any_properties(),
        body in prop_oneof![any_text().prop_map(String::into_bytes), vec(any::<u8>(), 0..50)],
    ) -> Message {
        Message { exchange, routing_key, properties, body }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_it_was(message in any_message(), redelivered: Option<bool>) {
        let line = to_json_line(&message, redelivered);
        prop_assert!(!line.contains('\n'));
        let envelope = from_json_line(line.as_bytes()).unwrap();
        prop_assert_eq!(envelope.body, message.body);
        prop_assert_eq!(envelope.exchange, Some(message.exchange));
        prop_assert_eq!(envelope.routing_key, Some(message.routing_key));
        prop_assert_eq!(envelope.properties, message.properties);
    }

    #[test]
    fn no_line_makes_it_panic(line in vec(any::<u8>(), 0..100)) {
        let _ = from_json_line(&line);
    }

    #[test]
    fn no_piece_of_json_makes_it_panic(pieces in vec(0usize..18, 0..30)) {
        const PIECES: [&str; 18] = [
            "{", "}", "[", "]", ":", ",", "\"", "\\", "\"body\"", "\"headers\"", "\"!int8\"",
            "\"!table\"", "1", "-", "1e9", "null", "true", " ",
        ];
        let line: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        let _ = from_json_line(line.as_bytes());
    }
}

fn headers(json: &str) -> Result<Headers, EnvelopeError> {
    let line = format!(r#"{{"body":"","headers":{json}}}"#);
    Ok(from_json_line(line.as_bytes())?.properties.headers.unwrap())
}

fn header(json: &str) -> HeaderValue {
    let mut headers = headers(&format!(r#"{{"x":{json}}}"#)).unwrap();
    headers.remove("x").unwrap()
}

#[test]
fn values_without_a_name_have_the_obvious_type() {
    for (json, value) in [
        ("7", HeaderValue::Int32(7)),
        ("-2147483648", HeaderValue::Int32(i32::MIN)),
        ("2147483648", HeaderValue::Int64(2_147_483_648)),
        ("9223372036854775807", HeaderValue::Int64(i64::MAX)),
        ("1.5", HeaderValue::Double(1.5)),
        ("1e3", HeaderValue::Double(1000.0)),
        ("null", HeaderValue::Void),
        ("true", HeaderValue::Boolean(true)),
        (r#""a\u0000b""#, HeaderValue::String("a\0b".to_owned())),
        ("[]", HeaderValue::Array(Vec::new())),
        ("{}", HeaderValue::Table(Headers::new())),
    ] {
        assert_eq!(header(json), value, "{json}");
    }
}

#[test]
fn types_that_json_lacks_are_named() {
    for (value, json) in [
        (HeaderValue::Bytes(vec![0, 255]), r#"{"!bytes":"AP8="}"#),
        (
            HeaderValue::Timestamp(1_700_000_000),
            r#"{"!timestamp":1700000000}"#,
        ),
        (
            HeaderValue::Timestamp(u64::MAX),
            r#"{"!timestamp":"18446744073709551615"}"#,
        ),
        (
            HeaderValue::Decimal {
                scale: 2,
                value: 125,
            },
            r#"{"!decimal":"1.25"}"#,
        ),
        (
            HeaderValue::Decimal { scale: 3, value: 5 },
            r#"{"!decimal":"0.005"}"#,
        ),
        (
            HeaderValue::Decimal { scale: 0, value: 5 },
            r#"{"!decimal":"5"}"#,
        ),
        (HeaderValue::UInt32(7), r#"{"!uint32":7}"#),
        (HeaderValue::Int64(7), r#"{"!int64":7}"#),
        (HeaderValue::Int64(1 << 40), "1099511627776"),
        (
            HeaderValue::Int64(i64::MAX),
            r#"{"!int64":"9223372036854775807"}"#,
        ),
        (HeaderValue::Float(0.1), r#"{"!float":0.10000000149011612}"#),
        (HeaderValue::Double(1.0), r#"{"!double":1.0}"#),
        (
            HeaderValue::Double(f64::NEG_INFINITY),
            r#"{"!double":"-Infinity"}"#,
        ),
    ] {
        let written = headers_to_json(&Headers::from([("x".to_owned(), value.clone())]));
        assert_eq!(written["x"].to_string(), json);
        assert_eq!(header(json), value, "{json}");
    }
}

#[test]
fn not_a_number_survives() {
    let written = headers_to_json(&Headers::from([(
        "x".to_owned(),
        HeaderValue::Double(f64::NAN),
    )]));
    assert_eq!(written["x"].to_string(), r#"{"!double":"NaN"}"#);
    assert!(matches!(header(r#"{"!double":"NaN"}"#), HeaderValue::Double(x) if x.is_nan()));
    assert!(matches!(header(r#"{"!float":"NaN"}"#), HeaderValue::Float(x) if x.is_nan()));
}

#[test]
fn a_table_that_looks_like_an_escape_is_wrapped() {
    let table = Headers::from([("!bytes".to_owned(), HeaderValue::Int32(1))]);
    let written = headers_to_json(&Headers::from([(
        "x".to_owned(),
        HeaderValue::Table(table.clone()),
    )]));
    assert_eq!(written["x"].to_string(), r#"{"!table":{"!bytes":1}}"#);
    assert_eq!(
        header(r#"{"!table":{"!bytes":1}}"#),
        HeaderValue::Table(table)
    );
}

#[test]
fn only_the_body_is_required() {
    let envelope = from_json_line(b" {\"body\": \"x\"} \r\n").unwrap();
    let expected = Envelope {
        body: b"x".to_vec(),
        ..Envelope::default()
    };
    assert_eq!(envelope, expected);
    let envelope = from_json_line(br#"{"body_base64":"AP8=","redelivered":true}"#).unwrap();
    assert_eq!(envelope.body, [0, 255]);
}

#[test]
fn what_is_wrong_is_named() {
    for (line, words) in [
        (r"", "expected an object, found"),
        (
            "[{\"body\":\"x\"}]",
            "expected an object a line (jq -c '.[]' makes that of an array), found [{\"body\":\"x\"}]",
        ),
        (
            r#"{"body":"x""#,
            "EOF while parsing an object: the object is not on one line (jq -c . puts it there)",
        ),
        ("{", "the object is not on one line (jq -c . puts it there)"),
        (
            r#"  "body": "x","#,
            r#"expected an object, found "body": "x","#,
        ),
        (r#"{"body":"x"} x"#, "trailing characters, found x"),
        (r#"{"body":x}"#, "expected value, found x}"),
        (
            r#"{"body":"x","delivery_mode":3}"#,
            "'delivery_mode': expected 1 (transient) or 2 (persistent), found 3",
        ),
        (r"{}", "'body' (or 'body_base64') is missing"),
        (
            r#"{"body":"x","body_base64":""}"#,
            "'body' and 'body_base64' exclude each other",
        ),
        (r#"{"body":"x","body":"y"}"#, "'body' is given twice"),
        (r#"{"body":1}"#, "'body': expected a string, found 1"),
        (r#"{"body":null}"#, "'body': expected a string, found null"),
        (r#"{"body":"\ud800"}"#, "'body': "),
        (r#"{"body_base64":"?"}"#, "'body_base64': not base64"),
        (
            r#"{"body":"x","routing-key":"k"}"#,
            "'routing-key': is no key of an envelope",
        ),
        (
            r#"{"body":"x","priority":"high"}"#,
            "'priority': expected a whole number (0 to 255), found high",
        ),
        (
            r#"{"body":"x","priority":256}"#,
            "'priority': expected a whole number (0 to 255), found 256",
        ),
        (
            r#"{"body":"x","priority":1.0}"#,
            "'priority': expected a whole number",
        ),
        (
            r#"{"body":"x","timestamp":-1}"#,
            "'timestamp': expected a whole number (64 bits, not negative), found -1",
        ),
        (
            r#"{"body":"x","message_id":5}"#,
            "'message_id': expected a string, found 5",
        ),
        (
            r#"{"body":"x","headers":[]}"#,
            "'headers': expected an object, found []",
        ),
        (
            r#"{"body":"x","headers":{"a":{"!byte":""}}}"#,
            "'headers': 'a': '!byte': is no type of a header value",
        ),
        (
            r#"{"body":"x","headers":{"a":1,"a":2}}"#,
            "'headers': 'a' is given twice",
        ),
        (
            r#"{"body":"x","headers":{"a":9223372036854775808}}"#,
            "'headers': 'a': 9223372036854775808 does not fit 64 bits",
        ),
        (
            r#"{"body":"x","headers":{"a":1e400}}"#,
            "'headers': 'a': 1e400 does not fit a double",
        ),
        (
            r#"{"body":"x","headers":{"a":{"!float":1e39}}}"#,
            "'!float': 1e39 is too large",
        ),
        (
            r#"{"body":"x","headers":{"a":{"!decimal":"1."}}}"#,
            "'!decimal': expected digits",
        ),
        (
            r#"{"body":"x","redelivered":1}"#,
            "'redelivered': expected true or false, found 1",
        ),
    ] {
        let error = from_json_line(line.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{line}\n{error}");
    }
    let error = from_json_line(b"{\"body\":\"\xff\"}").unwrap_err();
    assert_eq!(error.to_string(), "not UTF-8");
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(headers(&nested(60)).is_ok());
    let error = headers(&nested(100)).unwrap_err().to_string();
    assert!(error.contains("nested too deeply"), "{error}");
    assert!(headers(&nested(100_000)).is_err());
}
