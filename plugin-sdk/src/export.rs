//! The macro that makes a component out of a type. Everything it expands to is in `instance` and
//! `bindings`.

/// Exports a plugin: `export!(MyPlugin with authenticator, authorizer);`, with the hooks that the
/// type implements.
///
/// Name and version that the plugin tells the host are those of the crate that calls the macro. A
/// crate exports one plugin.
///
/// ```
/// use portcullis_plugin::{
///     Authenticator, Config, Connection, Credentials, Error, Outcome, Plugin, export,
/// };
///
/// struct Nobody;
///
/// impl Plugin for Nobody {
///     fn init(_: &Config) -> Result<Self, Error> {
///         Ok(Self)
///     }
/// }
///
/// impl Authenticator for Nobody {
///     fn authenticate(&self, _: &Connection, _: &Credentials) -> Result<Outcome, Error> {
///         Ok(Outcome::bad_credentials())
///     }
/// }
///
/// export!(Nobody with authenticator);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    ($plugin:ident with $($hook:ident),+ $(,)?) => {
        const _: () = {
            ::std::thread_local! {
                static INSTANCE: $crate::Instance<$plugin> = const { $crate::Instance::new() };
            }

            struct Exported;

            impl $crate::bindings::plugin::hook::Guest for Exported {
                fn describe() -> $crate::Info {
                    $crate::Info {
                        name: ::core::env!("CARGO_PKG_NAME").into(),
                        version: ::core::env!("CARGO_PKG_VERSION").into(),
                    }
                }

                fn init() -> ::core::result::Result<(), $crate::Error> {
                    INSTANCE.with(|instance| instance.init())
                }

                fn self_test() -> ::core::result::Result<(), $crate::Error> {
                    INSTANCE.with(|instance| instance.self_test())
                }
            }

            // Native linkers stumble over the symbol names of components; unit tests need no
            // exports.
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::plugin::__export_plugin!(
                Exported with_types_in $crate::bindings::plugin
            );

            $( $crate::__export_hook!($hook); )+
        };
    };
}

/// One hook of `export!`; not for direct use.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    (authenticator) => {
        impl $crate::bindings::authenticator::hook::Guest
            for Exported
        {
            fn authenticate(
                connection: $crate::Connection,
                credentials: $crate::Credentials,
            ) -> ::core::result::Result<$crate::Outcome, $crate::Error> {
                INSTANCE.with(|instance| instance.authenticate(&connection, &credentials))
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::authenticator::__export_authenticator!(
            Exported with_types_in $crate::bindings::authenticator
        );
    };
    (authorizer) => {
        impl $crate::bindings::authorizer::hook::Guest
            for Exported
        {
            fn permissions(
                subject: $crate::Subject,
            ) -> ::core::result::Result<$crate::Answer, $crate::Error> {
                INSTANCE.with(|instance| instance.permissions(&subject))
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::authorizer::__export_authorizer!(
            Exported with_types_in $crate::bindings::authorizer
        );
    };
    (enhanced_authenticator) => {
        impl $crate::bindings::enhanced_authenticator::hook::Guest for Exported {
            fn methods() -> ::std::vec::Vec<::std::string::String> {
                INSTANCE.with(|instance| instance.methods())
            }

            fn begin(
                connection: $crate::Connection,
                opening: $crate::Opening,
            ) -> ::core::result::Result<$crate::Step, $crate::Error> {
                INSTANCE.with(|instance| instance.begin(&connection, &opening))
            }

            fn proceed(
                connection: $crate::Connection,
                answer: $crate::Continuation,
            ) -> ::core::result::Result<$crate::Step, $crate::Error> {
                INSTANCE.with(|instance| instance.proceed(&connection, &answer))
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::enhanced_authenticator::__export_enhanced_authenticator!(
            Exported with_types_in $crate::bindings::enhanced_authenticator
        );
    };
    (operation_authorizer) => {
        impl $crate::bindings::operation_authorizer::hook::Guest for Exported {
            fn topics() -> ::std::vec::Vec<::std::string::String> {
                INSTANCE.with(|instance| instance.operation_topics())
            }

            fn authorize(
                subject: $crate::Subject,
                operation: $crate::Operation,
            ) -> ::core::result::Result<$crate::Ruling, $crate::Error> {
                INSTANCE.with(|instance| instance.authorize(&subject, &operation))
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::operation_authorizer::__export_operation_authorizer!(
            Exported with_types_in $crate::bindings::operation_authorizer
        );
    };
    (inbound_transform) => {
        impl $crate::bindings::inbound_transform::hook::Guest for Exported {
            fn topics() -> ::std::vec::Vec<::std::string::String> {
                INSTANCE.with(|instance| instance.inbound_topics())
            }

            fn transform(
                source: $crate::Source,
                publisher: $crate::Client,
                message: $crate::Message,
            ) -> ::core::result::Result<$crate::Inbound, $crate::Error> {
                INSTANCE.with(|instance| instance.transform_inbound(source, &publisher, message))
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::inbound_transform::__export_inbound_transform!(
            Exported with_types_in $crate::bindings::inbound_transform
        );
    };
    (outbound_transform) => {
        impl $crate::bindings::outbound_transform::hook::Guest for Exported {
            fn claims() -> $crate::Claim {
                INSTANCE.with(|instance| instance.claims())
            }

            fn transform(
                subscriber: ::core::option::Option<$crate::Client>,
                message: $crate::Message,
            ) -> ::core::result::Result<$crate::Outbound, $crate::Error> {
                INSTANCE.with(|instance| instance.transform_outbound(subscriber.as_ref(), message))
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::outbound_transform::__export_outbound_transform!(
            Exported with_types_in $crate::bindings::outbound_transform
        );
    };
    (events) => {
        impl $crate::bindings::events::hook::Guest for Exported {
            fn wanted() -> $crate::Kinds {
                INSTANCE.with(|instance| instance.wanted())
            }

            fn on_events(
                batch: ::std::vec::Vec<$crate::Stamped>,
                dropped: u64,
            ) -> ::core::result::Result<(), $crate::Error> {
                INSTANCE.with(|instance| instance.on_events(&batch, dropped))
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::events::__export_events!(
            Exported with_types_in $crate::bindings::events
        );
    };
    (timer) => {
        impl $crate::bindings::timer::hook::Guest for Exported {
            fn interval_seconds() -> u32 {
                INSTANCE.with(|instance| instance.interval_seconds())
            }

            fn on_timer() -> ::core::result::Result<(), $crate::Error> {
                INSTANCE.with(|instance| instance.on_timer())
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::timer::__export_timer!(
            Exported with_types_in $crate::bindings::timer
        );
    };
    (admin_authenticator) => {
        impl $crate::bindings::admin_authenticator::hook::Guest for Exported {
            fn authenticate_admin(
                login: $crate::Login,
            ) -> ::core::result::Result<$crate::AdminOutcome, $crate::Error> {
                INSTANCE.with(|instance| instance.authenticate_admin(&login))
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::admin_authenticator::__export_admin_authenticator!(
            Exported with_types_in $crate::bindings::admin_authenticator
        );
    };
    (state_transfer) => {
        impl $crate::bindings::state_transfer::hook::Guest for Exported {
            fn export_state() -> ::core::result::Result<::std::vec::Vec<u8>, $crate::Error> {
                INSTANCE.with(|instance| instance.export_state())
            }

            fn import_state(
                version: ::std::string::String,
                state: ::std::vec::Vec<u8>,
            ) -> ::core::result::Result<(), $crate::Error> {
                INSTANCE.with(|instance| instance.import_state(&version, &state))
            }
        }

        #[cfg(target_arch = "wasm32")]
        $crate::bindings::state_transfer::__export_state_transfer!(
            Exported with_types_in $crate::bindings::state_transfer
        );
    };
    ($other:ident) => {
        ::core::compile_error!(::core::concat!(
            "`",
            ::core::stringify!($other),
            "` is no hook: authenticator, enhanced_authenticator, authorizer, \
             operation_authorizer, inbound_transform, outbound_transform, events, timer, \
             admin_authenticator, state_transfer"
        ));
    };
}
