//! Tests of the Reason Codes.

use codec::ReasonCode;

use super::Error;

#[test]
fn every_error_has_its_code_and_a_sentence() {
    for (error, code) in [
        (Error::ReceiveMaximumExceeded, ReasonCode::ReceiveMaximumExceeded),
        (Error::TopicAliasInvalid, ReasonCode::TopicAliasInvalid),
        (Error::TopicAliasUnknown, ReasonCode::ProtocolError),
        (Error::NoTopic, ReasonCode::ProtocolError),
    ] {
        assert_eq!(error.reason_code(), code);
        assert!(error.to_string().len() > 20, "{error:?}");
    }
}
