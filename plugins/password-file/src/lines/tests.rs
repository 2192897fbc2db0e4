//! Lines come out the same however the file is cut.

use super::*;

#[test]
fn lines_do_not_depend_on_the_parts() {
    let file = b"one\ntwo\r\n\nfour";
    for part in 1..file.len() + 1 {
        let lines = collect(file, part).unwrap();
        assert_eq!(lines, ["1:one", "2:two", "3:", "4:four"], "parts of {part} bytes");
    }
}

#[test]
fn a_line_end_at_the_end_makes_no_further_line() {
    assert_eq!(collect(b"one\n", 8).unwrap(), ["1:one"]);
    assert_eq!(collect(b"one\n\n", 8).unwrap(), ["1:one", "2:"]);
    assert!(collect(b"", 8).unwrap().is_empty());
}

#[test]
fn reading_stops_when_told() {
    let mut seen = 0;
    for_each(
        |offset, _| Ok(if offset < 100 { b"line\n".to_vec() } else { Vec::new() }),
        |number, _| {
            seen = number;
            Ok(number < 3)
        },
    )
    .unwrap();
    assert_eq!(seen, 3);
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    for part in [1_000, 200_000] {
        let error = collect(&[b'x'; 100_000], part).unwrap_err();
        assert_eq!(error, Error::misconfigured("passwords: line 1: is longer than 4096 bytes"));
    }
}

fn collect(file: &[u8], part: usize) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for_each(
        |offset, _| {
            let from = offset as usize;
            Ok(file[from..file.len().min(from + part)].to_vec())
        },
        |number, line| {
            lines.push(format!("{number}:{}", String::from_utf8_lossy(line)));
            Ok(true)
        },
    )?;
    Ok(lines)
}
