//! The specification packet by packet: what its statements demand beyond what the dialogues beside
//! show. `compliance` checks that no statement is left out.

mod acknowledgements;
mod auth;
mod connect;
mod disconnect;
mod fixed_header;
mod mqtt_3_1;
mod pingreq;
mod publish;
mod retained;
mod session;
mod shared;
mod strings;
mod subscribe;
mod unsubscribe;
mod will;
