//! What wit-bindgen makes of the contract: the host's functions once, and each hook as a world of
//! its own, so that `export!` can put any subset together. wit-component unites the worlds that end
//! up in one module.
#![allow(
    missing_docs,
    unused_qualifications,
    unreachable_pub,
    unsafe_code,
    clippy::pedantic,
    clippy::use_self,
    clippy::allow_attributes_without_reason,
    reason = "generated code: its shape is wit-bindgen's business, its documentation is the WIT"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "portcullis:plugin/imports",
    generate_all,
    generate_unused_types: true,
    additional_derives: [PartialEq],
});

pub mod plugin {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-plugin;
            world plugin-hook {
                export portcullis:plugin/plugin@0.1.0;
            }
        ",
        path: "wit",
        world: "portcullis:sdk-plugin/plugin-hook",
        with: { "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types },
        pub_export_macro: true,
        export_macro_name: "__export_plugin",
    });

    pub use exports::portcullis::plugin::plugin as hook;
}

pub mod authenticator {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-authenticator;
            world authenticator-hook {
                export portcullis:plugin/authenticator@0.1.0;
            }
        ",
        path: "wit",
        world: "portcullis:sdk-authenticator/authenticator-hook",
        with: {
            "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types,
            "portcullis:plugin/permissions@0.1.0": crate::bindings::portcullis::plugin::permissions,
            "portcullis:plugin/grants@0.1.0": crate::bindings::portcullis::plugin::grants,
        },
        pub_export_macro: true,
        export_macro_name: "__export_authenticator",
        additional_derives: [PartialEq],
    });

    pub use exports::portcullis::plugin::authenticator as hook;
}

pub mod enhanced_authenticator {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-enhanced-authenticator;
            world enhanced-authenticator-hook {
                export portcullis:plugin/enhanced-authenticator@0.1.0;
            }
        ",
        path: "wit",
        world: "portcullis:sdk-enhanced-authenticator/enhanced-authenticator-hook",
        with: {
            "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types,
            "portcullis:plugin/permissions@0.1.0": crate::bindings::portcullis::plugin::permissions,
            "portcullis:plugin/grants@0.1.0": crate::bindings::portcullis::plugin::grants,
        },
        pub_export_macro: true,
        export_macro_name: "__export_enhanced_authenticator",
        additional_derives: [PartialEq],
    });

    pub use exports::portcullis::plugin::enhanced_authenticator as hook;
}

pub mod authorizer {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-authorizer;
            world authorizer-hook {
                export portcullis:plugin/authorizer@0.1.0;
            }
        ",
        path: "wit",
        world: "portcullis:sdk-authorizer/authorizer-hook",
        with: {
            "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types,
            "portcullis:plugin/permissions@0.1.0": crate::bindings::portcullis::plugin::permissions,
        },
        pub_export_macro: true,
        export_macro_name: "__export_authorizer",
        additional_derives: [PartialEq],
    });

    pub use exports::portcullis::plugin::authorizer as hook;
}

pub mod operation_authorizer {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-operation-authorizer;
            world operation-authorizer-hook {
                export portcullis:plugin/operation-authorizer@0.1.0;
            }
        ",
        path: "wit",
        world: "portcullis:sdk-operation-authorizer/operation-authorizer-hook",
        with: { "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types },
        pub_export_macro: true,
        export_macro_name: "__export_operation_authorizer",
        additional_derives: [PartialEq],
    });

    pub use exports::portcullis::plugin::operation_authorizer as hook;
}

pub mod inbound_transform {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-inbound-transform;
            world inbound-transform-hook {
                export portcullis:plugin/inbound-transform@0.1.0;
            }
        ",
        path: "wit",
        world: "portcullis:sdk-inbound-transform/inbound-transform-hook",
        with: {
            "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types,
            "portcullis:plugin/messages@0.1.0": crate::bindings::portcullis::plugin::messages,
        },
        pub_export_macro: true,
        export_macro_name: "__export_inbound_transform",
        additional_derives: [PartialEq],
    });

    pub use exports::portcullis::plugin::inbound_transform as hook;
}

pub mod outbound_transform {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-outbound-transform;
            world outbound-transform-hook {
                export portcullis:plugin/outbound-transform@0.1.0;
            }
        ",
        path: "wit",
        world: "portcullis:sdk-outbound-transform/outbound-transform-hook",
        with: {
            "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types,
            "portcullis:plugin/messages@0.1.0": crate::bindings::portcullis::plugin::messages,
        },
        pub_export_macro: true,
        export_macro_name: "__export_outbound_transform",
        additional_derives: [PartialEq],
    });

    pub use exports::portcullis::plugin::outbound_transform as hook;
}

pub mod events {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-events;
            world events-hook {
                export portcullis:plugin/events@0.1.0;
            }
        ",
        path: "wit",
        world: "portcullis:sdk-events/events-hook",
        with: { "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types },
        pub_export_macro: true,
        export_macro_name: "__export_events",
        additional_derives: [PartialEq],
    });

    pub use exports::portcullis::plugin::events as hook;
}

pub mod timer {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-timer;
            world timer-hook {
                export portcullis:plugin/timer@0.1.0;
            }
        ",
        path: "wit",
        world: "portcullis:sdk-timer/timer-hook",
        with: { "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types },
        pub_export_macro: true,
        export_macro_name: "__export_timer",
        additional_derives: [PartialEq],
    });

    pub use exports::portcullis::plugin::timer as hook;
}

pub mod admin_authenticator {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-admin-authenticator;
            world admin-authenticator-hook {
                export portcullis:plugin/admin-authenticator@0.1.0;
            }
        ",
        path: "wit",
        world: "portcullis:sdk-admin-authenticator/admin-authenticator-hook",
        with: { "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types },
        pub_export_macro: true,
        export_macro_name: "__export_admin_authenticator",
        additional_derives: [PartialEq],
    });

    pub use exports::portcullis::plugin::admin_authenticator as hook;
}

pub mod state_transfer {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-state-transfer;
            world state-transfer-hook {
                export portcullis:plugin/state-transfer@0.1.0;
            }
        ",
        path: "wit",
        world: "portcullis:sdk-state-transfer/state-transfer-hook",
        with: { "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types },
        pub_export_macro: true,
        export_macro_name: "__export_state_transfer",
        additional_derives: [PartialEq],
    });

    pub use exports::portcullis::plugin::state_transfer as hook;
}
