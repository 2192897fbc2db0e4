//! A component that was granted nothing and calls *each* function that the host has, those of WASI 0.2
//! and those of the contract, with whatever handles it can get hold of and with handles that it made
//! up: it gets nothing but time, random numbers and its own log.
//!
//! The component is made of the definitions, so that a function which is added to them is called too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use wasmtime::{
    Store,
    component::{Component, InstancePre, TypedFunc},
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{
    Function, Handle, Resolve, SizeAlign, Type, TypeDefKind, TypeId, WorldId, WorldItem,
    abi::{AbiVariant, WasmType},
};

use crate::{
    budget::{Budget, MemoryCap, Meter},
    capability::Lent,
    instance::State,
    recording::Tape,
};

/// What gives something. Everything else must end in an error, a trap, or an empty answer.
const GIVES: [&str; 27] = [
    // The time, and waiting for it within the deadline of the call.
    "clocks/monotonic-clock#now",
    "clocks/monotonic-clock#resolution",
    "clocks/monotonic-clock#subscribe-duration",
    "clocks/monotonic-clock#subscribe-instant",
    "clocks/wall-clock#now",
    "clocks/wall-clock#resolution",
    "io/poll#[method]pollable.block",
    "io/poll#[method]pollable.ready",
    "io/poll#poll",
    "io/streams#[method]input-stream.subscribe",
    "io/streams#[method]output-stream.subscribe",
    // Random numbers.
    "random/insecure#get-insecure-random-bytes",
    "random/insecure#get-insecure-random-u64",
    "random/insecure-seed#insecure-seed",
    "random/random#get-random-bytes",
    "random/random#get-random-u64",
    // Lines for its log.
    "cli/stderr#get-stderr",
    "cli/stdout#get-stdout",
    "io/streams#[method]output-stream.blocking-flush",
    "io/streams#[method]output-stream.blocking-write-and-flush",
    "io/streams#[method]output-stream.blocking-write-zeroes-and-flush",
    "io/streams#[method]output-stream.check-write",
    "io/streams#[method]output-stream.flush",
    "io/streams#[method]output-stream.write",
    "io/streams#[method]output-stream.write-zeroes",
    // Handles of what is empty: no name is resolved on this network, nothing is read from this input.
    "cli/stdin#get-stdin",
    "sockets/instance-network#instance-network",
];

/// The same of the contract.
const OURS_GIVE: [&str; 12] = [
    "clock#monotonic-ns",
    "clock#now-unix-ms",
    "random#bytes",
    // What the manifest says in [config], here `{}`, and lines and numbers of its own.
    "config#json",
    "log#emit",
    "log#enabled",
    "metrics#add",
    "metrics#observe",
    "metrics#set",
    // What only depends on the arguments.
    "crypto#constant-time-equal",
    "crypto#sha256",
    "ldap#escape-dn",
];

/// A handle that nobody was given.
const MADE_UP: u32 = 12_345;

/// Room for results and arguments in the memory of the guest.
const RESULT: usize = 1_024;
const RESULT_BYTES: usize = 256;
const HANDLES: usize = 3_072;
const TEXT: (usize, &str) = (16, "localhost");

#[tokio::test]
async fn wasi_gives_nothing() {
    let wasi = Imports::new(wasi_definition()).await;
    assert!(wasi.attempts.len() > 100, "only {} functions", wasi.attempts.len());
    assert_eq!(wasi.gave().await, BTreeSet::from(GIVES.map(str::to_owned)));
}

/// Grants are looked at when a component is loaded; this one was linked past that.
#[tokio::test]
async fn the_contract_gives_nothing_without_a_grant() {
    let ours = Imports::new(our_definition()).await;
    assert!(ours.attempts.len() > 40, "only {} functions", ours.attempts.len());
    assert_eq!(ours.gave().await, BTreeSet::from(OURS_GIVE.map(str::to_owned)));
}

/// The component, ready for instances.
struct Imports {
    lent: Arc<Lent>,
    resolve: Resolve,
    sizes: SizeAlign,
    attempts: Vec<Attempt>,
    pre: InstancePre<State>,
}

/// A function of WASI.
struct Attempt {
    /// Without the package's namespace and version.
    name: String,
    interface: String,
    function: Function,
    /// The resource of its first handle.
    takes: Option<TypeId>,
    /// The resource that it may answer with.
    makes: Option<TypeId>,
}

/// What a call answered.
#[derive(Debug, PartialEq, Eq)]
enum Given {
    /// An error, or nothing at all.
    Nothing,
    Something,
}

struct Instance<'a> {
    imports: &'a Imports,
    store: Store<State>,
    function: TypedFunc<(u32, u32), (Vec<u8>,)>,
}

impl Imports {
    async fn new((resolve, world): (Resolve, WorldId)) -> Self {
        let attempts = attempts(&resolve, world);
        let mut module = wat::parse_str(module(&resolve, &attempts)).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        let mut encoder = ComponentEncoder::default().validate(true).module(&module).unwrap();
        let component = encoder.encode().unwrap();
        let lent = Arc::clone(super::wasi::wasi().await.lent());
        let runtime = &lent.runtime;
        let component = Component::new(&runtime.engine.engine, component).unwrap();
        let pre = runtime.linker_with_wasi.instantiate_pre(&component).unwrap();
        let mut sizes = SizeAlign::default();
        sizes.fill(&resolve);
        Self { lent, resolve, sizes, attempts, pre }
    }

    /// Which functions gave something.
    async fn gave(&self) -> BTreeSet<String> {
        let mut gave = BTreeSet::new();
        for (index, attempt) in self.attempts.iter().enumerate() {
            if attempt.takes.is_some() {
                let told = self.instance().await.call(index, MADE_UP).await;
                assert!(told.is_none(), "{} takes a handle that was made up", attempt.name);
            }
            let mut instance = self.instance().await;
            let Some(handle) = instance.handle_for(attempt).await else { continue };
            if instance.call(index, handle).await == Some(Given::Something) {
                gave.insert(attempt.name.clone());
            }
        }
        gave
    }

    async fn instance(&self) -> Instance<'_> {
        let second = Duration::from_secs(1);
        let state = State {
            meter: Meter::new(Budget { cpu: second, wall: second }.starting_now()),
            memory: MemoryCap::new(1 << 20),
            lent: Arc::clone(&self.lent),
            wasi: None,
            tape: Tape::Off,
            login: None,
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().meter.tick()));
        store.set_epoch_deadline(1);
        let instance = self.pre.instantiate_async(&mut store).await.unwrap();
        let function = instance.get_typed_func(&mut store, "call").unwrap();
        Instance { imports: self, store, function }
    }

    fn given(&self, of: &Type, bytes: &[u8]) -> Given {
        let Type::Id(id) = of else {
            let empty = *of == Type::String && word(bytes, 4) == 0;
            return if empty { Given::Nothing } else { Given::Something };
        };
        let nothing = match &self.resolve.types[*id].kind {
            TypeDefKind::Type(of) => return self.given(of, bytes),
            TypeDefKind::Result(result) => match (bytes[0], &result.ok) {
                (0, Some(ok @ Type::Id(_))) => {
                    let cases = [result.ok.as_ref(), result.err.as_ref()];
                    let at = self.sizes.payload_offset(wit_parser::Int::U8, cases).size_wasm32();
                    return self.given(ok, &bytes[at..]);
                }
                (case, _) => case == 1,
            },
            TypeDefKind::Option(_) => bytes[0] == 0,
            TypeDefKind::List(_) => word(bytes, 4) == 0,
            _ => false,
        };
        if nothing { Given::Nothing } else { Given::Something }
    }
}

impl Instance<'_> {
    /// `None` = the function trapped, and the instance is lost.
    async fn call(&mut self, index: usize, handle: u32) -> Option<Given> {
        let bytes = self.answer(index, handle).await?;
        let result = self.imports.attempts[index].function.result.as_ref();
        Some(result.map_or(Given::Something, |of| self.imports.given(of, &bytes)))
    }

    async fn answer(&mut self, index: usize, handle: u32) -> Option<Vec<u8>> {
        let index = u32::try_from(index).unwrap();
        let answered = self.function.call_async(&mut self.store, (index, handle)).await;
        answered.ok().map(|(bytes,)| bytes)
    }

    /// A handle that the function takes, made in this instance by those that make some; 0 if it takes none. `None` =
    /// there is no way to one.
    async fn handle_for(&mut self, attempt: &Attempt) -> Option<u32> {
        let Some(resource) = attempt.takes else { return Some(0) };
        for (index, maker) in self.imports.attempts.iter().enumerate() {
            if maker.makes != Some(resource) || maker.takes == Some(resource) {
                continue;
            }
            let Some(handle) = Box::pin(self.handle_for(maker)).await else { continue };
            let made = self.answer(index, handle).await?;
            let of = maker.function.result.as_ref();
            if of.is_some_and(|of| self.imports.given(of, &made) == Given::Something) {
                return Some(word(&made, self.imports.handle_at(of)));
            }
        }
        None
    }
}

impl Imports {
    /// Where the handle of an answer is: behind the case of a result.
    fn handle_at(&self, of: Option<&Type>) -> usize {
        let Some(Type::Id(id)) = of else { return 0 };
        let result = matches!(self.resolve.types[*id].kind, TypeDefKind::Result(_));
        if result { 4 } else { 0 }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// WASI as the host has it.
fn wasi_definition() -> (Resolve, WorldId) {
    definition(&package("wasmtime-wasi").join("src/p2/wit"), "wasmtime:wasi/bindings")
}

fn our_definition() -> (Resolve, WorldId) {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    definition(&wit, "portcullis:plugin/imports@0.1.0")
}

/// A world that imports all of `world`.
fn definition(folder: &Path, world: &str) -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    resolve.push_dir(folder).unwrap();
    let world = format!(
        "package attempt:all;
        world attempts {{
            include {world};
            export call: func(index: u32, handle: u32) -> list<u8>;
        }}"
    );
    let package = resolve.push_str("attempts.wit", &world).unwrap();
    let world = resolve.select_world(&[package], Some("attempts")).unwrap();
    (resolve, world)
}

/// The folder of a dependency.
fn package(name: &str) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let found = packages.iter().find(|package| package["name"] == name).unwrap();
    let manifest = PathBuf::from(found["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().to_owned()
}

fn attempts(resolve: &Resolve, world: WorldId) -> Vec<Attempt> {
    let mut attempts = BTreeMap::new();
    for (key, item) in &resolve.worlds[world].imports {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = resolve.name_world_key(key);
        let short = interface.trim_start_matches("wasi:").trim_start_matches("portcullis:plugin/");
        let short = short.split('@').next().unwrap();
        for function in resolve.interfaces[*id].functions.values() {
            let name = format!("{short}#{}", function.name);
            let takes = function.params.iter().find_map(|it| handle(resolve, &it.ty));
            let makes = function.result.as_ref().and_then(|of| made(resolve, of));
            let function = function.clone();
            let interface = interface.clone();
            attempts.insert(name.clone(), Attempt { name, interface, function, takes, makes });
        }
    }
    attempts.into_values().collect()
}

/// The resource of a handle, also of one in a list.
fn handle(resolve: &Resolve, of: &Type) -> Option<TypeId> {
    let Type::Id(id) = of else { return None };
    match &resolve.types[*id].kind {
        TypeDefKind::Handle(Handle::Own(resource) | Handle::Borrow(resource)) => {
            Some(original(resolve, *resource))
        }
        TypeDefKind::Type(of) | TypeDefKind::List(of) => handle(resolve, of),
        _ => None,
    }
}

fn made(resolve: &Resolve, of: &Type) -> Option<TypeId> {
    let Type::Id(id) = of else { return None };
    match &resolve.types[*id].kind {
        TypeDefKind::Result(result) => result.ok.as_ref().and_then(|ok| handle(resolve, ok)),
        _ => handle(resolve, of),
    }
}

/// The resource behind the names under which other interfaces use it.
fn original(resolve: &Resolve, resource: TypeId) -> TypeId {
    match &resolve.types[resource].kind {
        TypeDefKind::Type(Type::Id(of)) => original(resolve, *of),
        _ => resource,
    }
}

/// The core module: `call` with the number of a function.
fn module(resolve: &Resolve, attempts: &[Attempt]) -> String {
    let (mut imports, mut calls) = (String::new(), String::new());
    for (index, attempt) in attempts.iter().enumerate() {
        let signature = resolve.wasm_signature(AbiVariant::GuestImport, &attempt.function);
        let types = |types: &[WasmType]| types.iter().map(|of| core(*of)).collect::<Vec<_>>();
        let (params, results) = (types(&signature.params), types(&signature.results));
        let (interface, name) = (&attempt.interface, &attempt.function.name);
        let (typed, result) = (params.join(" "), results.join(" "));
        writeln!(
            imports,
            "(import {interface:?} {name:?} (func $f{index} (param {typed}) (result {result})))"
        )
        .unwrap();
        let mut arguments = String::new();
        if signature.indirect_params {
            arguments.push_str("(i32.const 2048)");
        } else {
            for param in &attempt.function.params {
                argument(resolve, &param.ty, &mut arguments);
            }
        }
        if signature.retptr {
            write!(arguments, "(i32.const {RESULT})").unwrap();
        }
        let call = format!("(call $f{index} {arguments})");
        let kept = match results.first() {
            None => call,
            Some(of) => format!("({of}.store (i32.const {RESULT}) {call})"),
        };
        writeln!(calls, "(if (i32.eq (local.get $index) (i32.const {index})) (then {kept}))")
            .unwrap();
    }
    let (at, text) = TEXT;
    format!(
        r#"(module
            {imports}
            (memory (export "memory") 2)
            (data (i32.const {at}) "{text}")
            (global $next (mut i32) (i32.const 8192))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (global.set $next (i32.and (i32.const -8)
                    (i32.add (i32.const 7) (i32.add (global.get $next) (local.get 3)))))
                (i32.sub (global.get $next)
                    (i32.and (i32.const -8) (i32.add (i32.const 7) (local.get 3)))))
            (func (export "call") (param $index i32) (param $handle i32) (result i32)
                (i32.store (i32.const {HANDLES}) (local.get $handle))
                (memory.fill (i32.const {RESULT}) (i32.const 0xaa) (i32.const {RESULT_BYTES}))
                {calls}
                (i32.store (i32.const 4096) (i32.const {RESULT}))
                (i32.store (i32.const 4100) (i32.const {RESULT_BYTES}))
                (i32.const 4096)))"#
    )
}

fn core(of: WasmType) -> &'static str {
    match of {
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
        _ => "i32",
    }
}

/// The handle where one is taken, some text, a size that is not nothing; zeros for the rest.
fn argument(resolve: &Resolve, of: &Type, into: &mut String) {
    let (at, text) = TEXT;
    let text = format!("(i32.const {at}) (i32.const {})", text.len());
    match of {
        Type::String => return into.push_str(&text),
        Type::U32 => return into.push_str("(i32.const 64)"),
        Type::U64 => return into.push_str("(i64.const 64)"),
        Type::Id(id) => match &resolve.types[*id].kind {
            TypeDefKind::Type(of) => return argument(resolve, of, into),
            TypeDefKind::Handle(_) => return into.push_str("(local.get $handle)"),
            TypeDefKind::List(Type::U8) => return into.push_str(&text),
            TypeDefKind::List(of) if handle(resolve, of).is_some() => {
                return write!(into, "(i32.const {HANDLES}) (i32.const 1)").unwrap();
            }
            _ => {}
        },
        _ => {}
    }
    let mut storage = [WasmType::I32; Resolve::MAX_FLAT_PARAMS];
    let mut flat = wit_parser::abi::FlatTypes::new(&mut storage);
    resolve.push_flat(of, &mut flat);
    for of in flat.to_vec() {
        write!(into, "({}.const 0)", core(of)).unwrap();
    }
}
