//! The doorman asks in steps: method `steps`, first the name, then the password.
//!
//! ```text
//! CONNECT data = name  ──▶ challenge "password?" ──▶ AUTH data = password ──▶ data "welcome"
//! ```

use access::{
    BoxFuture, Challenge, Connection, Continuation, Denial, EnhancedAuthenticator, Opening,
    PluginFailure, Step,
};
use codec::ReasonCode;

use crate::Doorman;

/// The doorman's Authentication Method.
pub const STEPS: &str = "steps";

impl EnhancedAuthenticator for Doorman {
    fn methods(&self) -> &[String] {
        static METHODS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
        METHODS.get_or_init(|| vec![STEPS.to_owned()])
    }

    fn begin<'a>(
        &'a self,
        _: &'a Connection,
        opening: &'a Opening,
    ) -> BoxFuture<'a, Result<Step, PluginFailure>> {
        Box::pin(async move {
            let state = opening.data.clone().unwrap_or_default();
            Ok(Step::Challenge(Challenge { data: b"password?".to_vec(), state }))
        })
    }

    fn proceed<'a>(
        &'a self,
        _: &'a Connection,
        continuation: &'a Continuation,
    ) -> BoxFuture<'a, Result<Step, PluginFailure>> {
        Box::pin(async move {
            let name = String::from_utf8_lossy(&continuation.state).into_owned();
            let (_, user) = self.user(&name);
            if continuation.data != user.password.map(String::into_bytes) {
                let reason_code = ReasonCode::BadUserNameOrPassword;
                return Ok(Step::Deny(Denial { reason_code, reason: None }));
            }
            let mut grant = user.grant;
            grant.principal.get_or_insert(name);
            Ok(Step::Success(Box::new(grant), Some(b"welcome".to_vec())))
        })
    }
}
