//! The contract only grows: each version that was frozen (`tests/frozen/VERSION`) is still in `wit/`
//! as it was, and components that were built for it are still taken.
//!
//! The host type-checks by structure. So types never change; an interface that plugins export has
//! the same functions for ever, and one that they import may get more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use access::{Application, Inbound, Outcome, Publisher, Source, Step};
use codec::QoS;
use wit_parser::{
    Function, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeId, WorldItem, WorldKey,
};

use super::{calls::connection, shipped::subject};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Folders of frozen versions.
fn versions() -> Vec<PathBuf> {
    let folders = fs::read_dir(root().join("tests/frozen")).unwrap();
    folders.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

/// One item of a contract a line, by what it is called: structure and names, no comments.
type Items = BTreeMap<String, String>;

/// A contract, taken apart.
struct Contract {
    types: Items,
    functions: Items,
    /// Interfaces that plugins export.
    exported: BTreeSet<String>,
    /// By world: what must stay as it is, its exports.
    worlds: Items,
}

impl Contract {
    fn read(folder: &Path) -> Self {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(folder).unwrap();
        Self::of(&resolve, package)
    }

    fn parse(text: &str) -> Self {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("contract.wit", text).unwrap();
        Self::of(&resolve, package)
    }

    fn of(resolve: &Resolve, package: PackageId) -> Self {
        let package = &resolve.packages[package];
        let (mut types, mut functions) = (Items::new(), Items::new());
        for (name, interface) in &package.interfaces {
            let interface = &resolve.interfaces[*interface];
            for (of, id) in &interface.types {
                types.insert(format!("{name}.{of}"), structure(resolve, *id));
            }
            for (of, function) in &interface.functions {
                functions.insert(format!("{name}.{of}"), signature(resolve, function));
            }
        }
        let (mut exported, mut worlds) = (BTreeSet::new(), Items::new());
        for (name, world) in &package.worlds {
            let exports = &resolve.worlds[*world].exports;
            let exports: BTreeSet<_> = exports
                .iter()
                .map(|(key, item)| match (key, item) {
                    (WorldKey::Interface(id), WorldItem::Interface { .. }) => {
                        interface_name(resolve, *id)
                    }
                    other => panic!("{name} exports {other:?}"),
                })
                .collect();
            worlds.insert(name.clone(), exports.iter().cloned().collect::<Vec<_>>().join(", "));
            exported.extend(exports);
        }
        Self { types, functions, exported, worlds }
    }

    /// What of this is otherwise in `now`.
    fn broken_by(&self, now: &Self) -> Vec<String> {
        let mut broken = Vec::new();
        for (before, after) in [
            (&self.types, &now.types),
            (&self.functions, &now.functions),
            (&self.worlds, &now.worlds),
        ] {
            for (name, before) in before {
                match after.get(name) {
                    None => broken.push(format!("{name} is gone")),
                    Some(after) if after != before => {
                        broken.push(format!("{name} was {before} and is {after}"));
                    }
                    Some(_) => {}
                }
            }
        }
        let is_exported = |function: &str| {
            function.split('.').next().is_some_and(|interface| self.exported.contains(interface))
        };
        for name in now.functions.keys() {
            if is_exported(name) && !self.functions.contains_key(name) {
                broken.push(format!("{name} is new: components of before do not export it"));
            }
        }
        broken
    }
}

fn interface_name(resolve: &Resolve, id: InterfaceId) -> String {
    resolve.interfaces[id].name.clone().unwrap()
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params = function.params.iter();
    let params: Vec<_> =
        params.map(|param| format!("{}: {}", param.name, named(resolve, &param.ty))).collect();
    let result = function.result.as_ref().map(|result| named(resolve, result));
    format!("{:?}({}) -> {}", function.kind, params.join(", "), result.unwrap_or_default())
}

/// A type where it is used: by its name if it has one.
fn named(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else { return format!("{ty:?}") };
    match &resolve.types[*id].name {
        Some(name) => name.clone(),
        None => structure(resolve, *id),
    }
}

fn structure(resolve: &Resolve, id: TypeId) -> String {
    let of = |ty: &Type| named(resolve, ty);
    let maybe = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), of);
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter();
            let fields: Vec<_> =
                fields.map(|field| format!("{}: {}", field.name, of(&field.ty))).collect();
            format!("record {{{}}}", fields.join(", "))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter();
            let cases: Vec<_> =
                cases.map(|case| format!("{}({})", case.name, maybe(&case.ty))).collect();
            format!("variant {{{}}}", cases.join(", "))
        }
        TypeDefKind::Enum(of) => {
            let cases: Vec<_> = of.cases.iter().map(|case| case.name.as_str()).collect();
            format!("enum {{{}}}", cases.join(", "))
        }
        TypeDefKind::Flags(of) => {
            let flags: Vec<_> = of.flags.iter().map(|flag| flag.name.as_str()).collect();
            format!("flags {{{}}}", flags.join(", "))
        }
        TypeDefKind::Tuple(tuple) => {
            format!("tuple<{}>", tuple.types.iter().map(of).collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Option(ty) => format!("option<{}>", of(ty)),
        TypeDefKind::List(ty) => format!("list<{}>", of(ty)),
        TypeDefKind::Result(result) => {
            format!("result<{}, {}>", maybe(&result.ok), maybe(&result.err))
        }
        // `use` of another interface.
        TypeDefKind::Type(Type::Id(from)) => {
            let name = resolve.types[*from].name.as_deref().unwrap_or("?");
            let wit_parser::TypeOwner::Interface(owner) = resolve.types[*from].owner else {
                panic!("{name} is no type of an interface")
            };
            format!("{}.{name}", interface_name(resolve, owner))
        }
        TypeDefKind::Type(ty) => of(ty),
        other => panic!("this test does not know {}", other.as_str()),
    }
}

#[test]
fn what_was_frozen_is_still_there() {
    let now = Contract::read(&root().join("wit"));
    let versions = versions();
    assert!(!versions.is_empty());
    for version in versions {
        let frozen = Contract::read(&version.join("wit"));
        assert!(frozen.types.len() > 50 && frozen.exported.contains("authenticator"));
        let broken = frozen.broken_by(&now);
        assert!(broken.is_empty(), "{}: {broken:#?}", version.display());
    }
}

#[test]
fn what_breaks_components_is_found() {
    let before = "package a:b;
        interface host { record r { x: u8 } get: func(r: r) -> option<u8>; }
        interface hook { use host.{r}; enum e { one, two } ask: func(e: e) -> result<r, string>; }
        world w { import host; export hook; }";
    let check = |from: &str, to: &str, expected: &[&str]| {
        assert!(before.contains(from), "{from}");
        let now = Contract::parse(&before.replacen(from, to, 1));
        assert_eq!(Contract::parse(before).broken_by(&now), expected, "{from} -> {to}");
    };
    check("record r { x: u8 }", "record r { x: u8 } record s { y: r }", &[]);
    check("get: func", "put: func(); get: func", &[]);
    check("import host;", "import host; import other: interface {}", &[]);
    check(
        "ask: func",
        "more: func(); ask: func",
        &["hook.more is new: components of before do not export it"],
    );
    check("x: u8", "x: u16", &["host.r was record {x: U8} and is record {x: U16}"]);
    check(
        "one, two",
        "one, two, three",
        &["hook.e was enum {one, two} and is enum {one, two, three}"],
    );
    check("one, two", "two, one", &["hook.e was enum {one, two} and is enum {two, one}"]);
    check("get: func(r: r) -> option<u8>;", "", &["host.get is gone"]);
    check(
        "(r: r) -> option<u8>",
        "(r: r) -> option<r>",
        &["host.get was Freestanding(r: r) -> option<U8> and is Freestanding(r: r) -> option<r>"],
    );
    check("export hook;", "", &["w was hook and is "]);
}

#[tokio::test]
async fn components_of_frozen_contracts_are_still_taken() {
    for version in versions() {
        let load = async |name: &str| {
            let (lending, trust) = (crate::Lending::default(), Arc::default());
            let loaded = crate::load_plugin(&version, name, &[], lending, &trust).await;
            loaded.unwrap_or_else(|problems| panic!("{}: {problems:?}", version.display())).hooks
        };
        let gate = load("good").await;
        let credentials = access::Credentials {
            password: None,
            clean_start: true,
            keep_alive_seconds: 0,
            user_properties: Vec::new(),
            will: None,
        };
        let authenticator = gate.authenticator.unwrap();
        let outcome = authenticator.authenticate(&connection(), &credentials).await.unwrap();
        assert!(matches!(outcome, Outcome::Deny(_) | Outcome::Next), "{outcome:?}");
        gate.authorizer.unwrap().permissions(&subject()).await.unwrap();

        let meddler = load("meddler").await;
        let opening = access::Opening {
            method: "reverse".to_owned(),
            data: Some(b"ab".to_vec()),
            principal: None,
            user_properties: Vec::new(),
        };
        let exchange = meddler.enhanced_authenticator.unwrap();
        let step = exchange.begin(&connection(), &opening).await.unwrap();
        assert!(matches!(step, Step::Challenge(_)), "{step:?}");
        let message = Application {
            topic: "up/x".to_owned(),
            payload: b"x".to_vec(),
            qos: QoS::AtMostOnce,
            retain: false,
            payload_is_utf8: false,
            message_expiry_seconds: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        let transform = meddler.inbound_transform.unwrap();
        let publisher = subject();
        let changed = transform.transform(Source::Publish, Publisher::Client(&publisher), &message);
        let Inbound::Patched(patch) = changed.await.unwrap() else { panic!("patched") };
        assert_eq!(patch.payload.as_deref(), Some(b"X".as_slice()));
        let operation = access::Operation::Subscribe {
            filter: "op/allow".to_owned(),
            qos: QoS::AtMostOnce,
            share_name: None,
        };
        let ruling = meddler.operation_authorizer.unwrap();
        let ruling = ruling.authorize(&publisher, &operation).await.unwrap();
        assert_eq!(ruling.word, access::OperationWord::Allow);
    }
}
