//! A configuration of one line; texts say what becomes of them.

use std::sync::Mutex;

use access::BoxFuture;

use crate::{AppliedConfig, ConfigFault, ConfigManager, ConfigRefused, ShownConfig, ShownSetting};

#[derive(Default)]
pub(in super::super) struct FakeConfig {
    pub(in super::super) asked: Mutex<Vec<String>>,
}

fn fault() -> ConfigFault {
    let text = |text: &str| text.to_owned();
    ConfigFault { line: 3, key: text("limits.x"), value: text("7"), what: text("is not known") }
}

impl ConfigManager for FakeConfig {
    fn show(&self) -> Result<ShownConfig, String> {
        Ok(ShownConfig {
            file: "/etc/p.toml".to_owned(),
            version: "v1".to_owned(),
            text: "a = 1\n".to_owned(),
            settings: vec![ShownSetting {
                key: "a".to_owned(),
                value: "1".to_owned(),
                is_set: true,
                is_live: false,
            }],
            needs_restart: vec!["listeners".to_owned()],
        })
    }

    fn check(&self, text: &str) -> Vec<ConfigFault> {
        if text == "faulty" { vec![fault()] } else { Vec::new() }
    }

    fn replace(
        &self,
        text: String,
        expected: String,
    ) -> BoxFuture<'_, Result<AppliedConfig, ConfigRefused>> {
        self.asked.lock().unwrap().push(format!("replace {expected} by {text}"));
        let answer = match text.as_str() {
            _ if expected != "v1" => Err(ConfigRefused::Changed),
            "faulty" => Err(ConfigRefused::Faulty(vec![fault()])),
            "forbidden" => Err(ConfigRefused::Forbidden("not admin.bind".to_owned())),
            "failed" => Err(ConfigRefused::Failed("the disk is full".to_owned())),
            _ => Ok(AppliedConfig {
                version: "v2".to_owned(),
                needs_restart: vec!["store".to_owned()],
            }),
        };
        Box::pin(async move { answer })
    }

    fn reload(&self) -> BoxFuture<'_, Result<AppliedConfig, ConfigRefused>> {
        self.asked.lock().unwrap().push("reload".to_owned());
        Box::pin(async move { Ok(AppliedConfig::default()) })
    }
}
