//! A statement of a guest as its database takes it: one statement of a known kind, with `?` in the
//! database's own notation.
//!
//! Text that is not code (strings, quoted names, comments) is passed over exactly as the database
//! does it, or a `?` in a string would become a parameter, and what follows a string another
//! statement.

/// Which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// PostgreSQL, with `standard_conforming_strings` on.
    Postgres,
    /// MariaDB and MySQL, with backslashes in strings, and quotes that are strings.
    MySql,
    /// SQLite.
    Sqlite,
}

/// What only looks.
const LOOKS: [&str; 4] = ["SELECT", "TABLE", "VALUES", "WITH"];
/// What changes data as well.
const CHANGES: [&str; 5] = ["DELETE", "INSERT", "MERGE", "REPLACE", "UPDATE"];

/// Translates; the error is a sentence about the statement.
///
/// Everything but queries and changes of data is refused: what is left over on a connection
/// (settings, transactions, locks, attached files) would be there for the next plugin.
pub(super) fn translate(
    statement: &str,
    parameters: usize,
    dialect: Dialect,
    read_only: bool,
) -> Result<String, String> {
    let mut scanner = Scanner { rest: statement, dialect, out: String::new(), count: 0 };
    let first = scanner.run()?.to_ascii_uppercase();
    if !LOOKS.contains(&&*first) {
        let what = format!("it begins {first:?}, allowed: {}", LOOKS.join(", "));
        if !CHANGES.contains(&&*first) {
            return Err(format!("{what}, {}", CHANGES.join(", ")));
        }
        if read_only {
            return Err(format!("{what}, because the source is read-only"));
        }
    }
    if scanner.count != parameters {
        return Err(format!("it has {} ? and {parameters} parameters", scanner.count));
    }
    Ok(scanner.out)
}

struct Scanner<'a> {
    rest: &'a str,
    dialect: Dialect,
    out: String,
    count: usize,
}

impl<'a> Scanner<'a> {
    /// Reads it all; returns the first word.
    fn run(&mut self) -> Result<&'a str, String> {
        let mut first = None;
        let mut ended = false;
        while let Some(next) = self.rest.chars().next() {
            if next.is_whitespace() {
                self.copy(next.len_utf8());
            } else if self.begins_line_comment() {
                let ends = |c| c == '\n' || c == '\r' && self.dialect == Dialect::Postgres;
                let end = self.rest.find(ends).unwrap_or(self.rest.len());
                self.copy(end);
            } else if self.rest.starts_with("/*") {
                self.comment()?;
            } else if ended {
                return Err("it is more than one statement".to_owned());
            } else if next == ';' {
                // Left out: the database sees one statement without an end.
                self.rest = &self.rest[1..];
                ended = true;
            } else if next == '\0' {
                return Err("it has a NUL".to_owned());
            } else if let Some(word) = self.word() {
                self.check_word(word)?;
                first.get_or_insert(word);
            } else {
                self.symbol(next)?;
            }
        }
        first.ok_or_else(|| "it has no word".to_owned())
    }

    fn begins_line_comment(&self) -> bool {
        if self.dialect != Dialect::MySql {
            return self.rest.starts_with("--");
        }
        // Two signs of minus, unless there is a space or nothing behind them.
        let behind = self.rest.strip_prefix("--").map(|rest| rest.chars().next());
        let is_comment = behind.is_some_and(|next| {
            next.is_none_or(|next| next.is_ascii_whitespace() || next.is_ascii_control())
        });
        is_comment || self.rest.starts_with('#')
    }

    /// A query that writes a file on the server changes something, whatever the transaction says.
    fn check_word(&self, word: &str) -> Result<(), String> {
        let writes = ["OUTFILE", "DUMPFILE"].iter().any(|it| word.eq_ignore_ascii_case(it));
        match writes && self.dialect == Dialect::MySql {
            true => Err(format!("it has the word {word}, which writes files")),
            false => Ok(()),
        }
    }

    fn copy(&mut self, bytes: usize) {
        let (done, rest) = self.rest.split_at(bytes);
        self.out.push_str(done);
        self.rest = rest;
    }

    /// A name, keyword or number; with a string right behind it where that is one token.
    fn word(&mut self) -> Option<&'a str> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || !c.is_ascii();
        let end = self.rest.find(|c: char| !is_part(c) && c != '$').unwrap_or(self.rest.len());
        if end == 0 || self.rest.starts_with('$') {
            return None;
        }
        let word = &self.rest[..end];
        self.copy(end);
        Some(word)
    }

    fn symbol(&mut self, next: char) -> Result<(), String> {
        let postgres = self.dialect == Dialect::Postgres;
        let (mysql, sqlite) = (self.dialect == Dialect::MySql, self.dialect == Dialect::Sqlite);
        match next {
            '\'' if postgres && self.escapes() => self.with_escapes(),
            '\'' | '"' => self.quoted(next, mysql),
            '`' if !postgres => self.quoted(next, false),
            '[' if sqlite => {
                let end = self.rest.find(']').ok_or("a [ has no ]")?;
                self.copy(end + 1);
                Ok(())
            }
            '?' => self.placeholder(),
            '$' if postgres => self.dollar_quoted(),
            '$' | ':' | '@' | '#' if sqlite => Err(format!("{next:?} is no parameter, allowed: ?")),
            _ => {
                self.copy(next.len_utf8());
                Ok(())
            }
        }
    }

    /// Whether a string that begins here has escapes with a backslash: `E'...'`.
    fn escapes(&self) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
        let mut before = self.out.chars().rev();
        matches!(before.next(), Some('e' | 'E')) && !before.next().is_some_and(is_part)
    }

    /// On a new line it goes on, and so do the escapes.
    fn with_escapes(&mut self) -> Result<(), String> {
        loop {
            self.quoted('\'', true)?;
            let behind = self.rest.trim_ascii_start();
            let between = &self.rest[..self.rest.len() - behind.len()];
            if !behind.starts_with('\'') || !between.contains(['\n', '\r']) {
                return Ok(());
            }
            self.copy(between.len());
        }
    }

    /// Up to the same sign again; twice the sign is the sign.
    fn quoted(&mut self, sign: char, backslashes: bool) -> Result<(), String> {
        let mut inside = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = inside.next() {
            if c == '\0' {
                return Err("it has a NUL".to_owned());
            } else if backslashes && c == '\\' {
                inside.next();
            } else if c == sign && inside.next_if(|(_, next)| *next == sign).is_none() {
                self.copy(at + 1);
                return Ok(());
            }
        }
        Err(format!("a {sign} has no end"))
    }

    /// PostgreSQL's nest; some of MySQL's are code.
    fn comment(&mut self) -> Result<(), String> {
        let is_code = ["/*!", "/*M!", "/*m!"].iter().any(|begin| self.rest.starts_with(begin));
        if is_code && self.dialect == Dialect::MySql {
            return Err("it has a comment that is code (/*!)".to_owned());
        }
        let (mut at, mut depth) = (2, 1);
        let no_end = || "a comment has no end".to_owned();
        while depth > 0 {
            let inside = self.rest.get(at..).ok_or_else(no_end)?;
            let close = inside.find("*/").ok_or_else(no_end)?;
            let open = inside.find("/*").filter(|open| *open < close);
            match open.filter(|_| self.dialect == Dialect::Postgres) {
                Some(open) => {
                    at += open + 2;
                    depth += 1;
                }
                None => {
                    at += close + 2;
                    depth -= 1;
                }
            }
        }
        self.copy(at);
        Ok(())
    }

    /// `??` is the operator `?` of PostgreSQL.
    fn placeholder(&mut self) -> Result<(), String> {
        let rest = &self.rest[1..];
        match rest.chars().next() {
            Some('?') if self.dialect == Dialect::Postgres => {
                self.out.push('?');
                self.rest = &rest[1..];
                return Ok(());
            }
            Some(c) if c == '?' || c.is_ascii_digit() => {
                return Err(format!("\"?{c}\" is no parameter, allowed: ?"));
            }
            _ => {}
        }
        self.count += 1;
        match self.dialect {
            Dialect::Postgres => self.out.push_str(&format!("${}", self.count)),
            Dialect::Sqlite => self.out.push_str(&format!("?{}", self.count)),
            Dialect::MySql => self.out.push('?'),
        }
        self.rest = rest;
        Ok(())
    }

    /// `$tag$ ... $tag$`; anything else with a dollar is a parameter of PostgreSQL's own.
    fn dollar_quoted(&mut self) -> Result<(), String> {
        let tag_end = self.rest[1..].find('$').map(|end| end + 2);
        let tag = tag_end.map(|end| &self.rest[..end]).filter(|tag| {
            let name = &tag[1..tag.len() - 1];
            !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_alphanumeric() || c == '_' || !c.is_ascii())
        });
        let tag = tag.ok_or("\"$\" is no parameter, allowed: ?")?;
        let inside = &self.rest[tag.len()..];
        let end = inside.find(tag).ok_or_else(|| format!("{tag} has no end"))?;
        self.copy(end + 2 * tag.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dialect: Dialect, statement: &str, parameters: usize, expected: &str) {
        let told = translate(statement, parameters, dialect, true);
        assert_eq!(told.as_deref(), Ok(expected), "{statement}");
    }

    #[track_caller]
    fn refuses(dialect: Dialect, statement: &str, parameters: usize, what: &str) {
        let error = translate(statement, parameters, dialect, false).unwrap_err();
        assert!(error.contains(what), "{statement}: {error}, wanted {what}");
    }

    use Dialect::{MySql, Postgres, Sqlite};

    #[test]
    fn question_marks_become_parameters() {
        let statement = "SELECT a FROM t WHERE b = ? AND c IN (?,?)";
        check(Postgres, statement, 3, "SELECT a FROM t WHERE b = $1 AND c IN ($2,$3)");
        check(Sqlite, statement, 3, "SELECT a FROM t WHERE b = ?1 AND c IN (?2,?3)");
        check(Postgres, "SELECT a ?? 'x', b ??| ?", 1, "SELECT a ? 'x', b ?| $1");
        check(
            Postgres,
            " (select ?::int) ; -- end?\n/* ? */",
            1,
            " (select $1::int)  -- end?\n/* ? */",
        );
        check(MySql, statement, 3, statement);
        check(MySql, "SELECT 5--?, @a", 1, "SELECT 5--?, @a");
        refuses(Postgres, "SELECT ?", 0, "it has 1 ? and 0 parameters");
        refuses(MySql, "SELECT ??", 2, "\"??\" is no parameter");
        refuses(Sqlite, "SELECT 1", 2, "it has 0 ? and 2 parameters");
    }

    #[test]
    fn what_is_no_code_stays_as_it_is() {
        for same in [
            "SELECT '?', 'it''s ?', '\\'",
            "SELECT \"a?\"\"b\" FROM t",
            "SELECT 1 -- ?; DROP",
            "SELECT 1 /* ? ; ' */ + 1",
            "WITH a AS (VALUES (1)) TABLE a",
        ] {
            check(Postgres, same, 0, same);
            check(Sqlite, same, 0, same);
        }
        for same in [
            "SELECT E'\\'?;', e'\\\\'",
            "SELECT $$ ? ; ' $$, $a$ $$ ? $b$ $a$",
            "SELECT /* /* ? */ ; ' */ 1",
            "SELECT E'a' \n '\\'?'",
            "SELECT a$1 FROM t$",
            "SELECT U&'?', B'1', date '?', a[1:2], b::text",
            "SELECT größe FROM \u{e9}$x$",
        ] {
            check(Postgres, same, 0, same);
        }
        check(Sqlite, "SELECT [a?], `b?;`, x'00'", 0, "SELECT [a?], `b?;`, x'00'");
        for same in [
            "SELECT '\\'?', \"?\\\"?\", 'it''s ?', `a\\`, `b``?`",
            "SELECT 1 -- ?; DROP\n + 1 # ?;\n + 1",
            "SELECT 1 /* ? /* ; ' */ + 1 --",
            "SELECT $a, a$b, @@version",
        ] {
            check(MySql, same, 0, same);
        }
        // Where they differ, the one must not be read as the other.
        check(Sqlite, "SELECT E'\\', ?", 1, "SELECT E'\\', ?1");
        check(Sqlite, "SELECT /* /* */ ?", 1, "SELECT /* /* */ ?1");
        check(Sqlite, "SELECT 1 --\r?\n", 0, "SELECT 1 --\r?\n");
        check(Postgres, "SELECT 1 --\r+?\n", 1, "SELECT 1 --\r+$1\n");
        check(Postgres, "SELECT 'a'\n'\\',?", 1, "SELECT 'a'\n'\\',$1");
        check(Postgres, "SELECT a[?]", 1, "SELECT a[$1]");
        check(Postgres, "SELECT name'\\' , ?", 1, "SELECT name'\\' , $1");
    }

    #[test]
    fn one_statement_and_no_other_kind() {
        for dialect in [Postgres, MySql, Sqlite] {
            refuses(dialect, "SELECT 1; DELETE FROM t", 0, "more than one statement");
            refuses(dialect, "SELECT 1;;", 0, "more than one statement");
            refuses(dialect, "SELECT 'a''; DROP TABLE t", 0, "a ' has no end");
            refuses(dialect, "SELECT 1 /* ", 0, "a comment has no end");
            refuses(dialect, "SELECT 1 /*/", 0, "a comment has no end");
            refuses(dialect, "SELECT 1\0", 0, "NUL");
            refuses(dialect, "SELECT '\0'", 0, "NUL");
            refuses(dialect, "", 0, "it has no word");
            refuses(dialect, "-- SELECT 1", 0, "it has no word");
            for other in ["COMMIT", "set x = 1", "ATTACH 'f' AS f", "COPY t TO '/f'", "PRAGMA a"] {
                refuses(dialect, other, 0, "it begins ");
            }
            let change = "/* */ insert into t values (?)";
            assert!(translate(change, 1, dialect, false).is_ok());
            let error = translate(change, 1, dialect, true).unwrap_err();
            assert!(error.ends_with("because the source is read-only"), "{error}");
        }
        refuses(Postgres, "--\rCREATE TABLE t AS\nSELECT 1", 0, "it begins \"CREATE\"");
        refuses(Postgres, "SELECT $1", 1, "\"$\" is no parameter");
        refuses(Postgres, "SELECT $a$ x", 0, "$a$ has no end");
        refuses(Postgres, "SELECT /* /* */", 0, "a comment has no end");
        refuses(Sqlite, "SELECT ?2, ?", 2, "\"?2\" is no parameter");
        for name in [":a", "@a", "$a"] {
            refuses(Sqlite, &format!("SELECT {name}"), 1, "is no parameter");
        }
        refuses(Sqlite, "SELECT [a", 0, "a [ has no ]");
        refuses(MySql, "# SELECT\nSET @a = 1", 0, "it begins \"SET\"");
        refuses(MySql, "SELECT '\\'; DROP TABLE t", 0, "a ' has no end");
        for code in ["/*! SELECT */ 1", "SELECT 1 /*!50000 + ? */", "SELECT /*M! 1 */ 2"] {
            refuses(MySql, code, 0, "a comment that is code");
        }
        for writes in ["SELECT 1 INTO OUTFILE '/f'", "SELECT 1 into dumpfile '/f'"] {
            refuses(MySql, writes, 0, "which writes files");
        }
    }

    /// Whatever is asked: no panic, and what is accepted holds as many parameters as were given.
    #[test]
    fn random_statements() {
        let parts =
            ["'", "\"", "?", ";", "--", "\n", "/*", "*/", "$", "$a$", "E'", "\\", "é", " ", "x"];
        let mut seed = 7_u64;
        for _ in 0..50_000 {
            let mut text = "SELECT ".to_owned();
            for _ in 0..8 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(parts[(seed >> 33) as usize % parts.len()]);
            }
            for (dialect, sign) in [(Postgres, "$2"), (MySql, "?"), (Sqlite, "?2")] {
                if let Ok(out) = translate(&text, 2, dialect, true) {
                    assert!(out.contains(sign), "{text:?} {out:?}");
                }
            }
        }
    }
}
