//! Guests written in WebAssembly text: one good one, and bodies that misbehave.

use std::path::Path;

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A guest to be: an authenticator whose memory starts with the answer `allow(principal)`.
#[derive(Clone)]
pub(crate) struct Guest {
    principal: String,
    imports: String,
    authenticate: String,
    init: String,
    self_test: String,
    realloc: String,
    data: String,
    encoding: StringEncoding,
    transfer: Option<(String, String)>,
}

/// Where `authenticate` answers: result, outcome and grant, field by field (see the canonical ABI).
const ANSWER: usize = 1024;
/// Where `init` and `self-test` answer: zeros are `ok`.
const OK: usize = 2048;
/// `misconfigured("nope")`.
const REFUSAL: usize = 2112;

impl Guest {
    /// Allows everybody as `user`.
    pub(crate) fn allow() -> Self {
        Self {
            principal: "user".to_owned(),
            imports: String::new(),
            authenticate: String::new(),
            init: format!("(i32.const {OK})"),
            self_test: format!("(i32.const {OK})"),
            realloc: "(local.get $at)".to_owned(),
            data: String::new(),
            encoding: StringEncoding::UTF8,
            transfer: None,
        }
    }

    /// Allows everybody as `principal` (at most 64 bytes).
    pub(crate) fn allow_as(principal: &str) -> Self {
        Self { principal: principal.to_owned(), ..Self::allow() }
    }

    /// Says `next`.
    pub(crate) fn next() -> Self {
        Self::allow()
            .authenticate(&format!("(i32.store8 (i32.const {}) (i32.const 2))", ANSWER + 8))
    }

    /// Statements before the answer of `authenticate`.
    pub(crate) fn authenticate(mut self, statements: &str) -> Self {
        self.authenticate = statements.to_owned();
        self
    }

    /// Core imports.
    pub(crate) fn imports(mut self, imports: &str) -> Self {
        self.imports = imports.to_owned();
        self
    }

    /// Statements before `init` says that all is well.
    pub(crate) fn init(mut self, statements: &str) -> Self {
        self.init = format!("{statements} (i32.const {OK})");
        self
    }

    /// What the guest answers when the host asks for memory.
    pub(crate) fn realloc(mut self, expression: &str) -> Self {
        self.realloc = expression.to_owned();
        self
    }

    /// Bytes in its memory.
    pub(crate) fn data(mut self, at: usize, bytes: &[u8]) -> Self {
        self.data += &format!("(data (i32.const {at}) \"{}\")\n", hexadecimal(bytes));
        self
    }

    /// Hands its principal over, and takes the one that it is handed. With statements before each.
    pub(crate) fn transfers(mut self, export: &str, import: &str) -> Self {
        self.transfer = Some((export.to_owned(), import.to_owned()));
        self
    }

    /// How it keeps its texts.
    pub(crate) fn encoding(mut self, encoding: StringEncoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// `init` says `misconfigured("nope")`.
    pub(crate) fn init_refuses(mut self) -> Self {
        self.init = format!("(i32.const {REFUSAL})");
        self
    }

    /// `init` says `unavailable("nope")`.
    pub(crate) fn init_unavailable(mut self) -> Self {
        let kind = REFUSAL + 4;
        self.init = format!("(i32.store8 (i32.const {kind}) (i32.const 0)) (i32.const {REFUSAL})");
        self
    }

    /// `self-test` traps.
    pub(crate) fn self_test_traps(mut self) -> Self {
        self.self_test = "unreachable".to_owned();
        self
    }

    /// A core module with its component-type section.
    pub(crate) fn module(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.text()).unwrap();
        let mut resolve = Resolve::default();
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let (package, _) = resolve.push_dir(wit).unwrap();
        let world = match self.transfer {
            None => resolve.select_world(&[package], Some("authenticator-plugin")).unwrap(),
            Some(_) => {
                let package = resolve.push_source("transfer.wit", TRANSFERS).unwrap();
                resolve.select_world(&[package], Some("transfers")).unwrap()
            }
        };
        embed_component_metadata(&mut module, &resolve, world, self.encoding).unwrap();
        module
    }

    /// A component.
    pub(crate) fn component(&self) -> Vec<u8> {
        crate::componentize(&self.module()).unwrap()
    }

    fn text(&self) -> String {
        let Self { principal, imports, authenticate, init, self_test, realloc, data, .. } = self;
        let length = principal.len();
        let transfer = self.transfer.as_ref().map(transfer).unwrap_or_default();
        let encoded = |text: &str| match self.encoding {
            StringEncoding::UTF16 => {
                hexadecimal(&text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>())
            }
            _ => hexadecimal(text.as_bytes()),
        };
        let (principal, nope) = (encoded(principal), encoded("nope"));
        let plugin = "portcullis:plugin/plugin@0.1.0";
        let authenticator = "portcullis:plugin/authenticator@0.1.0";
        format!(
            r#"(module
  {imports}
  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 8256))
  (data (i32.const {allow}) "\01\00\00\00\00\20\00\00\{length:02x}\00\00\00")
  (data (i32.const {refusal}) "\01\00\00\00\02\00\00\00\40\10\00\00\04\00\00\00")
  (data (i32.const 4096) "{principal}")
  (data (i32.const 8192) "{principal}")
  (data (i32.const 4160) "{nope}")
  {data}
  (data (i32.const 4192) "\00\10\00\00\{length:02x}\00\00\00\40\10\00\00\04\00\00\00")
  (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    {realloc})
  (func (export "{plugin}#describe") (result i32) (i32.const 4192))
  (func (export "{plugin}#init") (result i32) {init})
  (func (export "{plugin}#self-test") (result i32) {self_test})
  (func $deep (param i64) (result i64)
    (i64.add (i64.const 1) (call $deep (i64.add (local.get 0) (i64.const 1)))))
  (func (export "{authenticator}#authenticate") (param i32) (result i32)
    {authenticate}
    (i32.const {ANSWER}))
  {transfer}
  (func (export "cabi_post_{authenticator}#authenticate") (param i32)
    (global.set $heap (i32.const 8256))))"#,
            allow = ANSWER + 16,
            refusal = REFUSAL,
        )
    }
}

/// A world with a state to hand over.
const TRANSFERS: &str = "package test:transfer;
    world transfers {
        include portcullis:plugin/authenticator-plugin@0.1.0;
        export portcullis:plugin/state-transfer@0.1.0;
    }";

/// The principal lies where the answer of `authenticate` has it; its length too.
fn transfer((export, import): &(String, String)) -> String {
    let transfer = "portcullis:plugin/state-transfer@0.1.0";
    let length = ANSWER + 16 + 8;
    format!(
        r#"(func (export "{transfer}#export-state") (result i32)
    (i32.store (i32.const 2304) (i32.const 0))
    (i32.store (i32.const 2308) (i32.const 8192))
    (i32.store (i32.const 2312) (i32.load (i32.const {length})))
    {export}
    (i32.const 2304))
  (func (export "cabi_post_{transfer}#export-state") (param i32))
  (func (export "{transfer}#import-state") (param i32 i32 i32 i32) (result i32)
    (memory.copy (i32.const 8192) (local.get 2) (local.get 3))
    (i32.store (i32.const {length}) (local.get 3))
    {import}
    (i32.const {OK}))"#
    )
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// Adds `count` core instances of a module to a component. They do nothing but be there.
pub(crate) fn crowd(component: &[u8], module: &str, count: usize) -> Vec<u8> {
    let mut depth = 0_usize;
    let mut modules = 0;
    for payload in wasmparser::Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            wasmparser::Payload::ModuleSection { .. } => {
                modules += usize::from(depth == 0);
                depth += 1;
            }
            wasmparser::Payload::ComponentSection { .. } => depth += 1,
            wasmparser::Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let module = wat::parse_str(module).unwrap();
    let mut instances = leb128(count);
    for _ in 0..count {
        // Instantiate a module, with no arguments.
        instances.push(0);
        instances.extend(leb128(modules));
        instances.push(0);
    }
    let mut crowded = component.to_vec();
    for (section, contents) in [(1, module), (2, instances)] {
        crowded.push(section);
        crowded.extend(leb128(contents.len()));
        crowded.extend(contents);
    }
    crowded
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
