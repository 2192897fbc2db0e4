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
            world plugin-hook { export portcullis:plugin/plugin@0.1.0; }
        ",
        path: "wit",
        world: "portcullis:sdk-plugin/plugin-hook",
        with: { "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types },
        pub_export_macro: true,
        export_macro_name: "__export_plugin",
    });
}

pub mod authenticator {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-authenticator;
            world authenticator-hook { export portcullis:plugin/authenticator@0.1.0; }
        ",
        path: "wit",
        world: "portcullis:sdk-authenticator/authenticator-hook",
        with: { "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types },
        pub_export_macro: true,
        export_macro_name: "__export_authenticator",
        additional_derives: [PartialEq],
    });
}

pub mod authorizer {
    wit_bindgen::generate!({
        inline: "
            package portcullis:sdk-authorizer;
            world authorizer-hook { export portcullis:plugin/authorizer@0.1.0; }
        ",
        path: "wit",
        world: "portcullis:sdk-authorizer/authorizer-hook",
        with: { "portcullis:plugin/types@0.1.0": crate::bindings::portcullis::plugin::types },
        pub_export_macro: true,
        export_macro_name: "__export_authorizer",
        additional_derives: [PartialEq],
    });
}
