//! Messages to and from the server over one connection. A message that is larger than a result may
//! be is never read: that is what bounds memory, whatever the server sends.

use std::io;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{ErrorResponseBody, Header, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::capability::sql::{
    RESULT_BYTES_MAX,
    remote::{Failed, Transport},
};

/// A row with everything around it.
const MESSAGE_BYTES_MAX: usize = RESULT_BYTES_MAX + (64 << 10);
const HEADER_BYTES: usize = 5;

/// One connection.
pub(in crate::capability::sql) struct Wire {
    transport: Box<dyn Transport>,
    received: BytesMut,
    out: BytesMut,
    /// Of the last `ReadyForQuery`; 0 while something is asked.
    status: u8,
}

/// What the server says.
pub(super) fn refused(body: &ErrorResponseBody) -> Failed {
    let (mut code, mut text) = (String::new(), String::new());
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        let value = String::from_utf8_lossy(field.value_bytes());
        match field.type_() {
            b'C' => code = value.into_owned(),
            b'M' => text = value.into_owned(),
            _ => {}
        }
    }
    Failed::Refused { code, text }
}

impl Wire {
    pub(super) fn new(transport: Box<dyn Transport>) -> Self {
        Self { transport, received: BytesMut::new(), out: BytesMut::new(), status: 0 }
    }

    /// Where messages are written that [`Self::flush`] sends.
    pub(super) fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Sends what was written.
    pub(super) async fn flush(&mut self) -> Result<(), Failed> {
        self.status = 0;
        let sent = self.transport.write_all_buf(&mut self.out).await;
        sent.map_err(|error| Failed::broken(&error))?;
        self.transport.flush().await.map_err(|error| Failed::broken(&error))
    }

    /// The next message that is about what was asked.
    pub(super) async fn receive(&mut self) -> Result<Message, Failed> {
        loop {
            let header = Header::parse(&self.received).map_err(|error| Failed::broken(&error))?;
            let length = header.map_or(HEADER_BYTES, |it| usize::try_from(it.len()).unwrap_or(0));
            if length > MESSAGE_BYTES_MAX {
                // The rest of it is on its way: the connection cannot be used again.
                return Err(Failed::TooLarge);
            }
            let message = Message::parse(&mut self.received);
            match message.map_err(|error| Failed::broken(&error))? {
                Some(
                    Message::NoticeResponse(_)
                    | Message::ParameterStatus(_)
                    | Message::NotificationResponse(_),
                ) => {}
                Some(message) => return Ok(message),
                None => {
                    let read = self.transport.read_buf(&mut self.received).await;
                    match read {
                        Ok(0) => return Err(Failed::Broken("the server hung up".to_owned())),
                        Ok(_) => {}
                        // TLS that ends without a goodbye, a reset: all the same here.
                        Err(error) => return Err(Failed::broken(&error as &io::Error)),
                    }
                }
            }
        }
    }

    /// Reads to the end of an answer whose content does not matter.
    pub(super) async fn until_ready(&mut self) -> Result<(), Failed> {
        let mut failed = None;
        loop {
            match self.receive().await? {
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return failed.map_or(Ok(()), Err);
                }
                Message::ErrorResponse(body) => {
                    failed.get_or_insert_with(|| refused(&body));
                }
                _ => {}
            }
        }
    }

    pub(super) fn set_status(&mut self, status: u8) {
        self.status = status;
    }

    /// Nothing is asked and no transaction is open.
    pub(super) fn is_idle(&self) -> bool {
        self.status == b'I' && self.received.is_empty()
    }

    /// A transaction is open and has not failed.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.status == b'T'
    }
}
