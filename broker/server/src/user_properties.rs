//! How many User Properties a packet after CONNECT may have. Of all but PUBLISH nothing is done with them, and few have
//! an answer that could say so: who sends too many has its connection ended.

use codec::{Packet, ReasonCode};

use crate::{broker::Core, close::Close};

/// Refuses a packet with more than the limits allow, except PUBLISH, whose acknowledgement says so.
pub(crate) fn check(packet: &Packet<'_>, core: &Core) -> Result<(), Close> {
    let properties = match packet {
        Packet::PubAck(packet)
        | Packet::PubRec(packet)
        | Packet::PubRel(packet)
        | Packet::PubComp(packet) => &packet.user_properties,
        Packet::Subscribe(packet) => &packet.user_properties,
        Packet::Unsubscribe(packet) => &packet.user_properties,
        Packet::Disconnect(packet) => &packet.user_properties,
        // PUBLISH is looked at where it is handled. The others have none, or a client may not send them now.
        _ => return Ok(()),
    };
    if properties.is_empty() {
        return Ok(());
    }
    let bytes = properties.iter().map(|(name, value)| name.len() + value.len()).sum();
    let sizes = &core.live.load().limits.sizes;
    sizes.check_user_properties(properties.len(), bytes).map_err(|_| TOO_MANY)
}

const TOO_MANY: Close =
    Close::Protocol(ReasonCode::QuotaExceeded, "more User Properties than the limits allow");
