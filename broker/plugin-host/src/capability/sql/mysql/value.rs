//! Values of the contract in the server's binary form, and back.

use super::{
    Failed,
    fields::{Fields, put_counted},
};
use crate::bindings::portcullis::plugin::sql::Value;

const TINY: u8 = 0x01;
const SHORT: u8 = 0x02;
const LONG: u8 = 0x03;
const FLOAT: u8 = 0x04;
const DOUBLE: u8 = 0x05;
const NULL: u8 = 0x06;
const TIMESTAMP: u8 = 0x07;
const LONGLONG: u8 = 0x08;
const INT24: u8 = 0x09;
const DATE: u8 = 0x0a;
const TIME: u8 = 0x0b;
const DATETIME: u8 = 0x0c;
const YEAR: u8 = 0x0d;
const BIT: u8 = 0x10;
const JSON: u8 = 0xf5;
const DECIMAL: u8 = 0x00;
const NEW_DECIMAL: u8 = 0xf6;
const BLOB: u8 = 0xfc;
const VAR_STRING: u8 = 0xfd;

/// The character set of bytes that are no text.
const BINARY: u16 = 63;
const UNSIGNED: u16 = 1 << 5;

/// The type of a column.
pub(super) struct Column {
    kind: u8,
    is_text: bool,
    is_unsigned: bool,
}

impl Column {
    /// With its name.
    pub(super) fn read(packet: &[u8]) -> Result<(Self, String), Failed> {
        let mut fields = Fields::new(packet);
        // Catalogue, schema, table, and what the table is called there.
        for _ in 0..4 {
            fields.counted()?;
        }
        let name = String::from_utf8_lossy(fields.counted()?).into_owned();
        fields.counted()?;
        fields.number()?;
        let set = fields.u16()?;
        fields.u32()?;
        let (kind, flags) = (fields.u8()?, fields.u16()?);
        // A decimal says that it is binary, and is text all the same.
        let is_text = set != BINARY || matches!(kind, DECIMAL | NEW_DECIMAL | JSON);
        Ok((Self { kind, is_text, is_unsigned: flags & UNSIGNED != 0 }, name))
    }
}

/// The packet that runs a prepared statement, behind its first byte.
pub(super) fn execute(statement: u32, parameters: &[Value], out: &mut Vec<u8>) {
    out.extend_from_slice(&statement.to_le_bytes());
    // No cursor; once.
    out.extend_from_slice(&[0, 1, 0, 0, 0]);
    if parameters.is_empty() {
        return;
    }
    for chunk in parameters.chunks(8) {
        let nulls = chunk.iter().enumerate().filter(|(_, value)| matches!(value, Value::Null));
        out.push(nulls.fold(0, |byte, (at, _)| byte | 1 << at));
    }
    // Types follow.
    out.push(1);
    for value in parameters {
        let kind = match value {
            Value::Null => NULL,
            Value::Boolean(_) => TINY,
            Value::Integer(_) => LONGLONG,
            Value::Real(_) => DOUBLE,
            Value::Text(_) => VAR_STRING,
            Value::Blob(_) => BLOB,
        };
        out.extend_from_slice(&[kind, 0]);
    }
    for value in parameters {
        match value {
            Value::Null => {}
            Value::Boolean(value) => out.push((*value).into()),
            Value::Integer(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::Real(value) => out.extend_from_slice(&value.to_le_bytes()),
            Value::Text(text) => put_counted(text.as_bytes(), out),
            Value::Blob(bytes) => put_counted(bytes, out),
        }
    }
}

/// A row of a result.
pub(super) fn row(packet: &[u8], columns: &[Column]) -> Result<Vec<Value>, Failed> {
    let mut fields = Fields::new(packet);
    fields.u8()?;
    let nulls = fields.bytes((columns.len() + 9) / 8)?;
    let mut row = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        let bit = at + 2;
        let byte = nulls.get(bit / 8).copied().unwrap_or(0);
        row.push(match byte >> (bit % 8) & 1 {
            1 => Value::Null,
            _ => read(column, &mut fields)?,
        });
    }
    match fields.rest() {
        [] => Ok(row),
        _ => Err(Failed::Broken("a row has more values than columns".to_owned())),
    }
}

fn read(column: &Column, fields: &mut Fields<'_>) -> Result<Value, Failed> {
    let unsigned = column.is_unsigned;
    let integer = match column.kind {
        TINY if unsigned => fields.u8()?.into(),
        TINY => i8::from_le_bytes(fields.array()?).into(),
        SHORT | YEAR if unsigned => fields.u16()?.into(),
        SHORT | YEAR => i16::from_le_bytes(fields.array()?).into(),
        LONG | INT24 if unsigned => fields.u32()?.into(),
        LONG | INT24 => i32::from_le_bytes(fields.array()?).into(),
        LONGLONG if unsigned => {
            let number = u64::from_le_bytes(fields.array()?);
            // What the contract's integer does not hold is text.
            let told = i64::try_from(number).map(Value::Integer);
            return Ok(told.unwrap_or_else(|_| Value::Text(number.to_string())));
        }
        LONGLONG => i64::from_le_bytes(fields.array()?),
        FLOAT => return Ok(Value::Real(f32::from_le_bytes(fields.array()?).into())),
        DOUBLE => return Ok(Value::Real(f64::from_le_bytes(fields.array()?))),
        DATE | DATETIME | TIMESTAMP => return date(column.kind, fields).map(Value::Text),
        TIME => return time(fields).map(Value::Text),
        NULL => return Ok(Value::Null),
        kind => {
            let bytes = fields.counted()?;
            return match column.is_text && kind != BIT {
                true => match str::from_utf8(bytes) {
                    Ok(text) => Ok(Value::Text(text.to_owned())),
                    Err(_) => Err(Failed::Broken("a value is not UTF-8".to_owned())),
                },
                false => Ok(Value::Blob(bytes.to_vec())),
            };
        }
    };
    Ok(Value::Integer(integer))
}

/// As the server writes it in text.
fn date(kind: u8, fields: &mut Fields<'_>) -> Result<String, Failed> {
    let mut parts = Fields::new(fields.counted()?);
    let (mut day, mut clock, mut micros) = ([0_u16, 0, 0], [0_u8; 3], 0);
    if !parts.is_empty() {
        day = [parts.u16()?, parts.u8()?.into(), parts.u8()?.into()];
    }
    if !parts.is_empty() {
        clock = parts.array()?;
    }
    if !parts.is_empty() {
        micros = parts.u32()?;
    }
    let [year, month, day] = day;
    let text = format!("{year:04}-{month:02}-{day:02}");
    if kind == DATE {
        return Ok(text);
    }
    let [hours, minutes, seconds] = clock;
    Ok(format!("{text} {hours:02}:{minutes:02}:{seconds:02}{}", fraction(micros)))
}

fn time(fields: &mut Fields<'_>) -> Result<String, Failed> {
    let mut parts = Fields::new(fields.counted()?);
    if parts.is_empty() {
        return Ok("00:00:00".to_owned());
    }
    let sign = if parts.u8()? == 1 { "-" } else { "" };
    let days = u64::from(parts.u32()?);
    let [hours, minutes, seconds] = parts.array()?;
    let micros = if parts.is_empty() { 0 } else { parts.u32()? };
    let hours = days * 24 + u64::from(hours);
    Ok(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{}", fraction(micros)))
}

fn fraction(micros: u32) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}") }
}

#[cfg(test)]
mod tests;
