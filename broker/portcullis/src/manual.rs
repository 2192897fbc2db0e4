//! `portcullis completions` and `portcullis man`: made from the command line itself, so that both say what it takes.

use std::{
    fs::{self, DirBuilder},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{cli::CommandLine, failure::Failure};

/// Name of the program.
const NAME: &str = "portcullis";

/// Prints what a shell sources.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let printed = io::stdout().lock().write_all(&script(shell));
    printed.map_err(|error| Failure::Refused(format!("standard output: {error}")))
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), NAME, &mut script);
    script
}

/// Writes `portcullis.1`, `portcullis-run.1` and so on.
pub(crate) fn pages(dir: &Path) -> Result<(), Failure> {
    let at =
        |path: &Path, error: io::Error| Failure::Refused(format!("{}: {error}", path.display()));
    let made = DirBuilder::new().recursive(true).mode(0o755).create(dir);
    made.map_err(|error| at(dir, error))?;
    let mut count = 0;
    for (name, page) in all_pages()? {
        let path = dir.join(&name);
        fs::write(&path, page).map_err(|error| at(&path, error))?;
        count += 1;
    }
    println!("{count} pages in {}", dir.display());
    Ok(())
}

/// Every page with its file name.
fn all_pages() -> Result<Vec<(String, Vec<u8>)>, Failure> {
    // Global arguments come to subcommands when the whole is built.
    let mut whole = CommandLine::command();
    whole.build();
    let mut pages = Vec::new();
    let mut left = vec![(NAME.to_owned(), whole)];
    while let Some((name, command)) = left.pop() {
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        for below in below {
            left.push((format!("{name}-{}", below.get_name()), below.clone()));
        }
        let mut page = Vec::new();
        // Known by its whole name, as other manual pages refer to it.
        let title: &'static str = name.clone().leak();
        clap_mangen::Man::new(command.name(title).bin_name(name.replace('-', " ")))
            .render(&mut page)
            .map_err(|error| Failure::internal("writing a page", error))?;
        pages.push((format!("{name}.1"), page));
    }
    pages.sort();
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A tool that is there; the test goes as far as it can without.
    fn has(tool: &str) -> bool {
        Command::new(tool).arg("--version").output().is_ok()
    }

    #[test]
    fn completions_name_every_command_and_are_what_the_shell_reads() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let script = String::from_utf8(script(shell)).unwrap();
            for word in ["quickstart", "clients", "rollback", "token-file", "completions"] {
                assert!(script.contains(word), "{shell}: {word} is missing");
            }
        }
        for (shell, tool) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
            if !has(tool) {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("script");
            fs::write(&file, script(shell)).unwrap();
            let output = Command::new(tool).arg("-n").arg(&file).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let pages = all_pages().unwrap();
        let page = |name: &str| {
            let found = pages.iter().find(|(file, _)| file == name);
            String::from_utf8(found.unwrap_or_else(|| panic!("no {name}")).1.clone()).unwrap()
        };
        for below in CommandLine::command().get_subcommands() {
            let name = below.get_name().to_owned();
            assert!(page("portcullis.1").contains(&name.replace('-', "\\-")), "{name}");
            assert!(page(&format!("portcullis-{name}.1")).contains(".SH NAME"), "{name}");
        }
        assert!(!pages.iter().any(|(name, _)| name.contains("-help")), "help needs no page");
        assert!(page("portcullis-ctl-clients-list.1").contains("\\-\\-prefix"));
        assert!(page("portcullis-ctl-clients-list.1").contains("\\-\\-token\\-file"));
        if !has("groff") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        for (name, page) in &pages {
            let file = folder.path().join(name);
            fs::write(&file, page).unwrap();
            let output =
                Command::new("groff").args(["-man", "-ww", "-z"]).arg(&file).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{name}: {output:?}");
        }
    }
}
