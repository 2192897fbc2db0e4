use super::*;

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(Escaped(text).to_string(), expected);
}

#[test]
fn ordinary_text_stays_as_it_is() {
    check("sensor-7/room:3", "sensor-7/room:3");
    check("größe/温度", "größe/温度");
}

/// Negative test N34: terminal commands and line breaks in a client id.
#[test]
fn terminal_commands_and_line_breaks_become_visible() {
    check("\u{1b}[2J\u{1b}]0;owned\u{7}", "\"\\u{1b}[2J\\u{1b}]0;owned\\u{7}\"");
    check("a\r\nINFO connected", "\"a\\u{d}\\u{a}INFO connected\"");
    check("\u{9b}31m", "\"\\u{9b}31m\"");
    check("\0\t\u{7f}", "\"\\u{0}\\u{9}\\u{7f}\"");
    check("a\u{2028}b\u{85}", "\"a\\u{2028}b\\u{85}\"");
}

#[test]
fn direction_and_invisible_characters_become_visible() {
    check("\u{202e}nimda", "\"\\u{202e}nimda\"");
    check("\u{2066}a\u{2069}\u{200f}", "\"\\u{2066}a\\u{2069}\\u{200f}\"");
    check("ad\u{200b}min\u{feff}", "\"ad\\u{200b}min\\u{feff}\"");
}

#[test]
fn no_text_looks_like_another_field() {
    check("x principal=admin", "\"x principal=admin\"");
    check("x=y", "\"x=y\"");
    check("a\" b=\"c", "\"a\\\" b=\\\"c\"");
    check("\\u{1b}", "\"\\\\u{1b}\"");
    check("", "\"\"");
}

#[test]
fn long_text_is_cut_at_a_character() {
    let shown = Escaped(&"é".repeat(300)).to_string();
    assert_eq!(shown, format!("{}[+88 bytes]", "é".repeat(256)));
    let uneven = format!("{}é{}", "a".repeat(511), "b".repeat(10));
    assert_eq!(Escaped(&uneven).to_string(), format!("{}[+12 bytes]", "a".repeat(511)));
}

#[test]
fn no_text_gives_more_than_one_line_or_a_control_character() {
    for code in 0..=0x10_ffff_u32 {
        let Some(character) = char::from_u32(code) else {
            continue;
        };
        let shown = Escaped(character.encode_utf8(&mut [0; 4])).to_string();
        assert!(!shown.chars().any(char::is_control), "{code:x}");
    }
}

#[test]
fn sentences_are_escaped_without_quotes() {
    let sentence = format!("no rule for {:?} or \u{1b}[0m", "a b");
    assert_eq!(EscapedDisplay(&sentence).to_string(), "no rule for \\\"a b\\\" or \\u{1b}[0m");
    let long = "x".repeat(2_000);
    assert_eq!(EscapedDisplay(&long).to_string(), format!("{}[+976 bytes]", "x".repeat(1_024)));
}
