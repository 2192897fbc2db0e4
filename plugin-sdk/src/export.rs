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

            impl $crate::bindings::plugin::exports::portcullis::plugin::plugin::Guest for Exported {
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
        impl $crate::bindings::authenticator::exports::portcullis::plugin::authenticator::Guest
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
        impl $crate::bindings::authorizer::exports::portcullis::plugin::authorizer::Guest
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
    ($other:ident) => {
        ::core::compile_error!(::core::concat!(
            "`",
            ::core::stringify!($other),
            "` is no hook: authenticator, authorizer"
        ));
    };
}
