//! A generation behind the traits of `access`.

use std::sync::Arc;

use access::{
    Answer, Authenticator, Authorizer, BoxFuture, Connection, Credentials, Outcome, PluginFailure,
    PluginFailureKind, Subject,
};

use crate::{
    convert,
    failure::failure,
    generation::Generation,
    instance::{Reply, Request},
};

/// A live generation as chains see it.
pub(crate) struct Hook(pub(crate) Arc<Generation>);

impl Authenticator for Hook {
    fn authenticate<'a>(
        &'a self,
        connection: &'a Connection,
        credentials: &'a Credentials,
    ) -> BoxFuture<'a, Result<Outcome, PluginFailure>> {
        Box::pin(async move {
            let arguments = (convert::connection(connection), convert::credentials(credentials));
            match self.0.ask(Request::Authenticate(Box::new(arguments))).await? {
                Reply::Outcome(outcome) => self.counted(convert::outcome(outcome)),
                Reply::Answer(_) => Err(wrong_reply()),
            }
        })
    }
}

impl Authorizer for Hook {
    fn permissions<'a>(
        &'a self,
        subject: &'a Subject,
    ) -> BoxFuture<'a, Result<Answer, PluginFailure>> {
        Box::pin(async move {
            let subject = Box::new(convert::subject(subject));
            match self.0.ask(Request::Permissions(subject)).await? {
                Reply::Answer(answer) => self.counted(convert::answer(answer)),
                Reply::Outcome(_) => Err(wrong_reply()),
            }
        })
    }
}

impl Hook {
    /// An answer that is not taken is a failure of the call like any other.
    fn counted<T>(&self, taken: Result<T, PluginFailure>) -> Result<T, PluginFailure> {
        if let Err(error) = &taken {
            self.0.refused(error);
        }
        taken
    }
}

fn wrong_reply() -> PluginFailure {
    failure(PluginFailureKind::Internal, "another hook answered; this is a bug of the host")
}
