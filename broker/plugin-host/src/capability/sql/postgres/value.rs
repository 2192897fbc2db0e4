//! Values of the contract as PostgreSQL's text, and back.

use std::fmt::Write;

use crate::bindings::portcullis::plugin::sql::Value;

/// Types that have a case of their own, by their numbers in the catalogue.
const BOOL: u32 = 16;
const BYTEA: u32 = 17;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const OID: u32 = 26;
const FLOAT4: u32 = 700;
const FLOAT8: u32 = 701;

/// `None` = NULL.
pub(super) fn write(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => value.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => {
            let mut text = String::with_capacity(2 + 2 * bytes.len());
            text.push_str("\\x");
            for byte in bytes {
                let _ = write!(text, "{byte:02x}");
            }
            text
        }
    })
}

/// The error is a sentence.
pub(super) fn read(oid: u32, text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|_| "a value is not UTF-8".to_owned())?;
    let value = match oid {
        BOOL => match text {
            "t" => Some(Value::Boolean(true)),
            "f" => Some(Value::Boolean(false)),
            _ => None,
        },
        INT2 | INT4 | INT8 | OID => text.parse().ok().map(Value::Integer),
        FLOAT4 | FLOAT8 => text.parse().ok().map(Value::Real),
        BYTEA => text.strip_prefix("\\x").and_then(unhex).map(Value::Blob),
        _ => Some(Value::Text(text.to_owned())),
    };
    value.ok_or_else(|| format!("a value of type {oid} has a form that is not known here"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (oid, value) in [
            (BOOL, Value::Boolean(true)),
            (INT8, Value::Integer(i64::MIN)),
            (FLOAT8, Value::Real(0.1)),
            (FLOAT8, Value::Real(f64::INFINITY)),
            (25, Value::Text("ä\\x".to_owned())),
            (BYTEA, Value::Blob(vec![0, 255, 16])),
        ] {
            let text = match write(&value).unwrap() {
                bool if oid == BOOL => bool[..1].to_owned(),
                text => text,
            };
            assert_eq!(format!("{:?}", read(oid, text.as_bytes())), format!("Ok({value:?})"));
        }
        assert!(write(&Value::Null).is_none());
        for (oid, text) in
            [(BOOL, "true"), (INT4, "1.5"), (BYTEA, "abc"), (BYTEA, "\\x0"), (BYTEA, "\\x0g")]
        {
            assert!(read(oid, text.as_bytes()).is_err(), "{oid} {text}");
        }
        assert!(read(25, &[0xff]).is_err());
    }
}
