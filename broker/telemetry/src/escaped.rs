//! Text from outside made safe for a log line: one line, no terminal commands, no forged fields.
//!
//! Knows nothing of log formats; called from `events` and by anyone who logs or prints text of a
//! client.

use std::fmt::{self, Display, Formatter, Write};

/// Text of a client as it may appear in a log line or on a terminal.
///
/// Control characters (with ESC, CR and LF), line separators, invisible characters and characters
/// that change the direction of writing become `\u{..}`, `\` becomes `\\` and `"` becomes `\"`.
/// Text that is empty, contains such characters, a blank or `=` is put in quotes, so that it cannot
/// pretend to be another field of the line. At most 512 bytes are shown, then how many more there
/// were.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

/// A sentence (an error, say) that may contain text of a client: escaped like [`Escaped`], at most
/// 1,024 bytes, never put in quotes. Belongs at the end of a line.
#[derive(Clone, Copy)]
pub struct EscapedDisplay<'a>(pub &'a dyn Display);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let quoted = self.0.is_empty() || self.0.chars().any(needs_quotes);
        if quoted {
            f.write_char('"')?;
        }
        let mut writer = EscapingWriter::new(f, TEXT_BYTES_MAX);
        writer.write_str(self.0)?;
        let hidden = writer.hidden_bytes;
        if quoted {
            f.write_char('"')?;
        }
        write_hidden(f, hidden)
    }
}

impl Display for EscapedDisplay<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut writer = EscapingWriter::new(f, SENTENCE_BYTES_MAX);
        write!(writer, "{}", self.0)?;
        let hidden = writer.hidden_bytes;
        write_hidden(f, hidden)
    }
}

fn write_hidden(f: &mut Formatter<'_>, hidden_bytes: usize) -> fmt::Result {
    if hidden_bytes == 0 {
        return Ok(());
    }
    write!(f, "[+{hidden_bytes} bytes]")
}

/// Passes text on with everything dangerous escaped, and stops passing it on after a number of
/// bytes.
struct EscapingWriter<'a, 'b> {
    out: &'a mut Formatter<'b>,
    bytes_left: usize,
    hidden_bytes: usize,
}

impl<'a, 'b> EscapingWriter<'a, 'b> {
    fn new(out: &'a mut Formatter<'b>, bytes_max: usize) -> Self {
        Self { out, bytes_left: bytes_max, hidden_bytes: 0 }
    }
}

impl Write for EscapingWriter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            // Once cut, always cut: a short character after a long one would otherwise slip in
            // behind the gap.
            if self.hidden_bytes > 0 || character.len_utf8() > self.bytes_left {
                self.hidden_bytes += character.len_utf8();
                continue;
            }
            self.bytes_left -= character.len_utf8();
            if character == '\\' || character == '"' {
                self.out.write_char('\\')?;
                self.out.write_char(character)?;
            } else if is_deceptive(character) {
                write!(self.out, "{}", character.escape_unicode())?;
            } else {
                self.out.write_char(character)?;
            }
        }
        Ok(())
    }
}

fn needs_quotes(character: char) -> bool {
    character.is_whitespace() || matches!(character, '=' | '"' | '\\') || is_deceptive(character)
}

pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'                                  // soft hyphen
            | '\u{61c}' | '\u{200e}' | '\u{200f}'     // direction marks
            | '\u{202a}'..='\u{202e}'                 // direction embeddings and overrides
            | '\u{2066}'..='\u{2069}'                 // direction isolates
            | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' // invisible
            | '\u{2028}' | '\u{2029}'                 // line and paragraph separator
            | '\u{fff9}'..='\u{fffb}'                 // interlinear annotation
            | '\u{e0000}'..='\u{e007f}'               // tags
        )
}

const TEXT_BYTES_MAX: usize = 512;
const SENTENCE_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests;
