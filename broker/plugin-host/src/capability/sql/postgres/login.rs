//! From nothing to a connection that may be asked: socket, TLS, authentication.

use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    },
    message::{
        backend::{AuthenticationSaslBody, Message},
        frontend,
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::wire::{Wire, refused};
use crate::capability::sql::remote::{Failed, Target, Transport};

/// What the server shows of us in its tables.
const APPLICATION: &str = "portcullis";

pub(super) async fn connect(target: &Target) -> Result<Wire, Failed> {
    let mut wire = Wire::new(transport(target).await?);
    let server = &target.server;
    let parameters = [
        ("user", &*server.user),
        ("database", &server.database),
        ("application_name", APPLICATION),
        ("client_encoding", "UTF8"),
    ];
    let written = frontend::startup_message(parameters, wire.out());
    written.map_err(|error| Failed::broken(&error))?;
    wire.flush().await?;
    authenticate(&mut wire, target).await?;
    wire.until_ready().await?;
    Ok(wire)
}

/// The server says with one byte whether it knows TLS. There is no connection without it.
async fn transport(target: &Target) -> Result<Box<dyn Transport>, Failed> {
    let broken = |error: std::io::Error| Failed::broken(&error);
    let mut stream = target.open().await?;
    let Some(tls) = &target.tls else {
        return Ok(stream);
    };
    let mut request = bytes::BytesMut::new();
    frontend::ssl_request(&mut request);
    stream.write_all(&request).await.map_err(broken)?;
    // Exactly one byte: what comes behind it in the clear is nobody's word.
    let answer = stream.read_u8().await.map_err(broken)?;
    if answer != b'S' {
        return Err(Failed::Broken("the server has no TLS, which is required".to_owned()));
    }
    target.encrypt(stream, tls).await
}

async fn authenticate(wire: &mut Wire, target: &Target) -> Result<(), Failed> {
    let no_password = || Failed::Broken("the server asks for a password".to_owned());
    let password = || target.password.as_ref().map(|it| it.expose()).ok_or_else(no_password);
    let broken = |error: std::io::Error| Failed::broken(&error);
    loop {
        match wire.receive().await? {
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationCleartextPassword => {
                if target.tls.is_none() && !target.server.is_here() {
                    let what = "the server wants the password in the clear, without TLS";
                    return Err(Failed::Broken(what.to_owned()));
                }
                frontend::password_message(password()?, wire.out()).map_err(broken)?;
                wire.flush().await?;
            }
            Message::AuthenticationMd5Password(body) => {
                let user = target.server.user.as_bytes();
                let hash = md5_hash(user, password()?, body.salt());
                frontend::password_message(hash.as_bytes(), wire.out()).map_err(broken)?;
                wire.flush().await?;
            }
            Message::AuthenticationSasl(body) => scram(wire, &body, password()?).await?,
            Message::ErrorResponse(body) => return Err(refused(&body)),
            _ => {
                let what = "the server wants a kind of login that is not known here";
                return Err(Failed::Broken(what.to_owned()));
            }
        }
    }
}

/// SCRAM: the server proves that it knows the password, too.
async fn scram(
    wire: &mut Wire,
    body: &AuthenticationSaslBody,
    password: &[u8],
) -> Result<(), Failed> {
    let broken = |error: std::io::Error| Failed::broken(&error);
    let known = body.mechanisms().any(|name| Ok(name == SCRAM_SHA_256)).map_err(broken)?;
    if !known {
        return Err(Failed::Broken(format!("the server has no {SCRAM_SHA_256}")));
    }
    let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
    let first = frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), wire.out());
    first.map_err(broken)?;
    wire.flush().await?;
    match wire.receive().await? {
        Message::AuthenticationSaslContinue(body) => scram.update(body.data()).map_err(broken)?,
        Message::ErrorResponse(body) => return Err(refused(&body)),
        _ => return Err(Failed::Broken("the login takes another course".to_owned())),
    }
    frontend::sasl_response(scram.message(), wire.out()).map_err(broken)?;
    wire.flush().await?;
    match wire.receive().await? {
        Message::AuthenticationSaslFinal(body) => scram.finish(body.data()).map_err(broken),
        Message::ErrorResponse(body) => Err(refused(&body)),
        _ => Err(Failed::Broken("the login takes another course".to_owned())),
    }
}
