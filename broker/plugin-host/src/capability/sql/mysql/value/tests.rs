//! Rows and parameters as servers write and read them, and every cut of them.

use super::*;

fn column(kind: u8, is_text: bool, is_unsigned: bool) -> Column {
    Column { kind, is_text, is_unsigned }
}

#[test]
fn values_of_a_row() {
    let columns = [
        column(TINY, false, false),
        column(LONGLONG, false, true),
        column(VAR_STRING, true, false),
        column(BLOB, false, false),
        column(LONG, false, false),
        column(DATETIME, false, false),
        column(TIME, false, false),
        column(DOUBLE, false, false),
        column(DATE, false, false),
    ];
    // Of eleven bits, the fifth column's is set.
    let mut packet = vec![0, 1 << 6, 0];
    packet.push(0xff);
    packet.extend_from_slice(&u64::MAX.to_le_bytes());
    packet.extend_from_slice(&[3, 0xc3, 0xa4, b'?']);
    packet.extend_from_slice(&[2, 0, 255]);
    packet.extend_from_slice(&[11, 0xb2, 7, 1, 2, 3, 4, 5, 6, 0, 0, 0]);
    packet.extend_from_slice(&[8, 1, 1, 0, 0, 0, 2, 3, 4]);
    packet.extend_from_slice(&0.25_f64.to_le_bytes());
    packet.push(0);
    let told = format!("{:?}", row(&packet, &columns).unwrap()).replace("Value::", "");
    let expected = "[Integer(-1), Text(\"18446744073709551615\"), Text(\"ä?\"), Blob([0, 255]), \
                    Null, Text(\"1970-01-02 03:04:05.000006\"), Text(\"-26:03:04\"), Real(0.25), \
                    Text(\"0000-00-00\")]";
    assert_eq!(told, expected);
    for cut in 0..packet.len() {
        assert!(row(&packet[..cut], &columns).is_err(), "{cut}");
    }
    packet.push(7);
    assert!(row(&packet, &columns).is_err(), "more values than columns");
    let no_text = [0, 0, 1, 0xff];
    assert!(row(&no_text, &[column(VAR_STRING, true, false)]).is_err());
}

#[test]
fn parameters() {
    let mut out = Vec::new();
    let values = [
        Value::Null,
        Value::Boolean(true),
        Value::Integer(-2),
        Value::Text("ä".to_owned()),
        Value::Blob(vec![0]),
    ];
    execute(7, &values, &mut out);
    let mut expected = vec![7, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1];
    expected.extend_from_slice(&[NULL, 0, TINY, 0, LONGLONG, 0, VAR_STRING, 0, BLOB, 0]);
    expected.push(1);
    expected.extend_from_slice(&(-2_i64).to_le_bytes());
    expected.extend_from_slice(&[2, 0xc3, 0xa4, 1, 0]);
    assert_eq!(out, expected);
    out.clear();
    let nine = vec![Value::Null; 9];
    execute(1, &nine, &mut out);
    assert_eq!(out[9..12], [0xff, 1, 1]);
    out.clear();
    execute(1, &[], &mut out);
    assert_eq!(out.len(), 9);
}

#[test]
fn columns() {
    let mut packet = Vec::new();
    for text in ["def", "d", "t", "t", "name", "n"] {
        put_counted(text.as_bytes(), &mut packet);
    }
    packet.push(0x0c);
    packet.extend_from_slice(&[45, 0, 0, 1, 0, 0, VAR_STRING, 0x20, 0, 0, 0, 0]);
    let (column, name) = Column::read(&packet).unwrap();
    assert!(name == "name" && column.is_text && column.is_unsigned && column.kind == VAR_STRING);
    for cut in 0..packet.len() - 3 {
        assert!(Column::read(&packet[..cut]).is_err(), "{cut}");
    }
}
