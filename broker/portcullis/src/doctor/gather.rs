//! Looks at everything that the checks judge, and judges nothing.

mod configuration;
mod running;
mod system;

use std::path::{Path, PathBuf};

use super::{
    Arguments,
    facts::{Configured, Facts, NotRunning},
};
use crate::{api::Broker, failure::Failure};

/// Where the configuration of a service is.
const CONFIG: &str = "/etc/portcullis/portcullis.toml";
const TOKEN: &str = "/var/lib/portcullis/admin.token";
const URL: &str = "http://127.0.0.1:9883";

/// Everything that can be found out about what the arguments name.
pub(super) async fn all(arguments: Arguments) -> Result<Facts, Failure> {
    let Arguments { config, url, token_file, .. } = arguments;
    let file = config.or_else(|| Some(PathBuf::from(CONFIG)).filter(|file| file.is_file()));
    if file.is_none() && url.is_none() {
        let what =
            format!("what shall be judged? --config FILE or --url URL; there is no {CONFIG}");
        return Err(Failure::Usage(what));
    }
    let mut known = configuration::Known::default();
    let configured: Option<Configured> = match &file {
        Some(file) => Some(configuration::look(file, &mut known).await),
        None => None,
    };
    let expected = url.is_some();
    let token_file = token_file.or(known.token_file).unwrap_or_else(|| Path::new(TOKEN).to_owned());
    let running = match url.or(known.url) {
        Some(url) => running::look(&Broker::with_token_file(url, &token_file), expected).await,
        // Any free port: nobody can know which.
        None if file.is_some() => Err(NotRunning {
            what: "[admin] bind has no fixed port; --url names it".to_owned(),
            expected,
        }),
        None => running::look(&Broker::with_token_file(URL, &token_file), expected).await,
    };
    Ok(Facts { configured, running: Some(running), system: system::look() })
}
