//! The list of prebuilt components. Knows paths, not contents. A new one is one entry here.

/// One prebuilt component. Paths are relative to the repository's root and use `/`.
#[derive(Debug, PartialEq, Eq)]
pub struct Guest {
    /// Name of the component.
    pub name: &'static str,
    /// What it is made from.
    pub source: Source,
    /// Where the component is kept.
    pub output: &'static str,
}

/// What a component is made from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// A Rust crate of the plugins workspace: its folder and its package name.
    Crate {
        /// Folder with `Cargo.toml` and `src`.
        folder: &'static str,
        /// Folders of other crates of this repository that it uses, beside the SDK.
        uses: &'static [&'static str],
    },
    /// A core module in the text format, which speaks the canonical ABI by hand.
    Text {
        /// The file.
        file: &'static str,
        /// The world that it claims to fit.
        contract: Contract,
    },
}

/// The world of a module in the text format.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Contract {
    /// `authenticator-plugin` of the contract.
    Current,
    /// The same in a package of version 0.2.0, which no host here knows.
    NextVersion,
    /// The current one and an import of an interface that no host has.
    UnknownImport,
}

/// Every prebuilt component.
pub const GUESTS: &[Guest] = &[
    Guest {
        name: "acl-file",
        source: Source::Crate { folder: "plugins/acl-file", uses: &["plugins/acl-rules"] },
        output: "plugins/prebuilt/acl-file.wasm",
    },
    plugin("allow-loopback", "plugins/allow-loopback", "plugins/prebuilt/allow-loopback.wasm"),
    plugin("deny-all", "plugins/deny-all", "plugins/prebuilt/deny-all.wasm"),
    Guest {
        name: "http",
        source: Source::Crate { folder: "plugins/http", uses: &["plugins/rules"] },
        output: "plugins/prebuilt/http.wasm",
    },
    Guest {
        name: "jwt",
        source: Source::Crate { folder: "plugins/jwt", uses: &["plugins/rules"] },
        output: "plugins/prebuilt/jwt.wasm",
    },
    plugin("ldap", "plugins/ldap", "plugins/prebuilt/ldap.wasm"),
    Guest {
        name: "password-file",
        source: Source::Crate { folder: "plugins/password-file", uses: &["plugins/hash-cost"] },
        output: "plugins/prebuilt/password-file.wasm",
    },
    plugin("payload-crypto", "plugins/payload-crypto", "plugins/prebuilt/payload-crypto.wasm"),
    plugin("quarantine", "plugins/quarantine", "plugins/prebuilt/quarantine.wasm"),
    plugin("rate-policy", "plugins/rate-policy", "plugins/prebuilt/rate-policy.wasm"),
    plugin("scram", "plugins/scram", "plugins/prebuilt/scram.wasm"),
    Guest {
        name: "sql",
        source: Source::Crate { folder: "plugins/sql", uses: &["plugins/hash-cost"] },
        output: "plugins/prebuilt/sql.wasm",
    },
    plugin("x509", "plugins/x509", "plugins/prebuilt/x509.wasm"),
    plugin("good", "tests/guests/good", "tests/guests/prebuilt/good.wasm"),
    plugin("hostile", "tests/guests/hostile", "tests/guests/prebuilt/hostile.wasm"),
    plugin("meddler", "tests/guests/meddler", "tests/guests/prebuilt/meddler.wasm"),
    plugin("lent", "tests/guests/lent", "tests/guests/prebuilt/lent.wasm"),
    Guest {
        name: "lies",
        source: Source::Text { file: "tests/guests/wat/lies.wat", contract: Contract::Current },
        output: "tests/guests/prebuilt/lies.wasm",
    },
    Guest {
        name: "lies-in-realloc",
        source: Source::Text {
            file: "tests/guests/wat/lies-in-realloc.wat",
            contract: Contract::Current,
        },
        output: "tests/guests/prebuilt/lies-in-realloc.wasm",
    },
    Guest {
        name: "lies-in-describe",
        source: Source::Text {
            file: "tests/guests/wat/lies-in-describe.wat",
            contract: Contract::Current,
        },
        output: "tests/guests/prebuilt/lies-in-describe.wasm",
    },
    Guest {
        name: "next-version",
        source: Source::Text {
            file: "tests/guests/wat/next-version.wat",
            contract: Contract::NextVersion,
        },
        output: "tests/guests/prebuilt/next-version.wasm",
    },
    Guest {
        name: "unknown-import",
        source: Source::Text {
            file: "tests/guests/wat/unknown-import.wat",
            contract: Contract::UnknownImport,
        },
        output: "tests/guests/prebuilt/unknown-import.wasm",
    },
];

const fn plugin(name: &'static str, folder: &'static str, output: &'static str) -> Guest {
    Guest { name, source: Source::Crate { folder, uses: &[] }, output }
}
