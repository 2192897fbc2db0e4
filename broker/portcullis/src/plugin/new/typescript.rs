//! `types/portcullis.d.ts` of TypeScript projects, from the contract: every interface as a module of
//! its name, in the terms of the QuickJS components (componentize-qjs). Only the tests need it: they
//! compare what is committed with what would be written today.

use std::{fmt::Write, path::Path};

use wit_parser::{
    Docs, Function, Interface, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, TypeId, TypeOwner,
    WorldItem,
};

/// The world that imports and exports everything.
const WORLD: &str = "every-hook";

const HEAD: &str = "\
// The contract of the MQTT broker Portcullis in TypeScript, generated from its WIT: do not edit.
//
// Interfaces that a plugin may import are modules with functions; what they declare to throw is what a
// `catch` gets. A hook is an interface of the same name: `export const authenticator: Authenticator`.
// An option that is none is null: compare with `== null`. In what a plugin returns it may be left out.
";

/// What the package in the folder `wit` looks like.
fn declarations(wit: &Path) -> String {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).expect("the contract is valid");
    let world = resolve.select_world(&[package], Some(WORLD)).expect("the world");
    let world = &resolve.worlds[world];
    let exported = interfaces(world.exports.values());
    // In the order of the package, so that a new interface moves nothing.
    let mut text = HEAD.to_owned();
    for id in resolve.packages[package].interfaces.values() {
        Module { resolve: &resolve, id: *id, is_hook: exported.contains(id) }.write(&mut text);
    }
    text
}

fn interfaces<'a>(items: impl Iterator<Item = &'a WorldItem>) -> Vec<InterfaceId> {
    let interface = |item: &WorldItem| match item {
        WorldItem::Interface { id, .. } => Some(*id),
        _ => None,
    };
    items.filter_map(interface).collect()
}

/// One interface.
struct Module<'a> {
    resolve: &'a Resolve,
    id: InterfaceId,
    is_hook: bool,
}

impl Module<'_> {
    fn interface(&self) -> &Interface {
        &self.resolve.interfaces[self.id]
    }

    fn write(&self, text: &mut String) {
        let interface = self.interface();
        let name = self.resolve.id_of(self.id).expect("an interface of the package has a name");
        text.push('\n');
        comment(text, "", &interface.docs, None);
        writeln!(text, "declare module '{name}' {{").expect("memory");
        let mut parts = Vec::new();
        for (name, id) in &interface.types {
            parts.push(self.type_definition(name, *id));
        }
        let functions = interface.functions.values();
        if self.is_hook {
            let name = pascal(interface.name.as_deref().expect("a name"));
            let mut part = format!("  export interface {name} {{\n");
            for function in functions {
                comment(&mut part, "    ", &function.docs, self.thrown(function));
                writeln!(part, "    {}{};", camel(&function.name), self.signature(function))
                    .expect("memory");
            }
            part.push_str("  }\n");
            parts.push(part);
        } else {
            parts.extend(functions.map(|function| self.imported(function)));
        }
        text.push_str(&parts.join("\n"));
        text.push_str("}\n");
    }

    /// A function of a module. A name that is a word of the language is exported all the same.
    fn imported(&self, function: &Function) -> String {
        let mut part = String::new();
        comment(&mut part, "  ", &function.docs, self.thrown(function));
        let (name, signature) = (camel(&function.name), self.signature(function));
        match RESERVED.contains(&name.as_str()) {
            false => writeln!(part, "  export function {name}{signature};"),
            true => {
                writeln!(part, "  function {name}_{signature};\n  export {{ {name}_ as {name} }};")
            }
        }
        .expect("memory");
        part
    }

    fn signature(&self, function: &Function) -> String {
        let params: Vec<_> = function
            .params
            .iter()
            .map(|param| {
                let name = camel(&param.name);
                let mark = if RESERVED.contains(&name.as_str()) { "_" } else { "" };
                format!("{name}{mark}: {}", self.name_of(&param.ty))
            })
            .collect();
        let result = match self.result_of(function) {
            Some((ok, _)) => ok,
            None => function.result,
        };
        let result = result.map_or_else(|| "void".to_owned(), |result| self.name_of(&result));
        format!("({}): {result}", params.join(", "))
    }

    /// What is thrown in the place of an error.
    fn thrown(&self, function: &Function) -> Option<String> {
        let (_, error) = self.result_of(function)?;
        Some(error.as_ref().map_or_else(|| "undefined".to_owned(), |error| self.name_of(error)))
    }

    /// Of a function that may fail.
    fn result_of(&self, function: &Function) -> Option<(Option<Type>, Option<Type>)> {
        let Some(Type::Id(id)) = function.result else { return None };
        match &self.resolve.types[id].kind {
            TypeDefKind::Result(result) => Some((result.ok, result.err)),
            _ => None,
        }
    }

    fn type_definition(&self, name: &str, id: TypeId) -> String {
        let definition = &self.resolve.types[id];
        let name = pascal(name);
        if let TypeDefKind::Type(Type::Id(other)) = &definition.kind
            && let Some(from) = self.elsewhere(*other)
        {
            let it = pascal(self.resolve.types[*other].name.as_deref().expect("a named type"));
            let imported = if it == name { it } else { format!("{it} as {name}") };
            return format!(
                "  import type {{ {imported} }} from '{from}';\n  export type {{ {name} }};\n"
            );
        }
        let mut text = String::new();
        comment(&mut text, "  ", &definition.docs, None);
        match &definition.kind {
            TypeDefKind::Record(record) => {
                writeln!(text, "  export interface {name} {{").expect("memory");
                for field in &record.fields {
                    comment(&mut text, "    ", &field.docs, None);
                    let mark = if self.is_option(&field.ty) { "?" } else { "" };
                    let (name, of) = (camel(&field.name), self.name_of(&field.ty));
                    writeln!(text, "    {name}{mark}: {of};").expect("memory");
                }
                text.push_str("  }\n");
            }
            TypeDefKind::Flags(flags) => {
                writeln!(text, "  export interface {name} {{").expect("memory");
                for flag in &flags.flags {
                    comment(&mut text, "    ", &flag.docs, None);
                    writeln!(text, "    {}?: boolean;", camel(&flag.name)).expect("memory");
                }
                text.push_str("  }\n");
            }
            TypeDefKind::Enum(of) => {
                write!(text, "  export type {name} =").expect("memory");
                for case in &of.cases {
                    text.push('\n');
                    comment(&mut text, "    ", &case.docs, None);
                    write!(text, "    | '{}'", case.name).expect("memory");
                }
                text.push_str(";\n");
            }
            TypeDefKind::Variant(variant) => {
                write!(text, "  export type {name} =").expect("memory");
                for case in &variant.cases {
                    text.push('\n');
                    comment(&mut text, "    ", &case.docs, None);
                    let value = case.ty.map(|ty| format!("; val: {}", self.name_of(&ty)));
                    let value = value.unwrap_or_default();
                    write!(text, "    | {{ tag: '{}'{value} }}", case.name).expect("memory");
                }
                text.push_str(";\n");
            }
            _ => writeln!(text, "  export type {name} = {};", self.anonymous(definition))
                .expect("memory"),
        }
        text
    }

    /// The module of a type that is not of this one.
    fn elsewhere(&self, id: TypeId) -> Option<String> {
        match self.resolve.types[id].owner {
            TypeOwner::Interface(owner) if owner != self.id => self.resolve.id_of(owner),
            _ => None,
        }
    }

    fn is_option(&self, ty: &Type) -> bool {
        let Type::Id(id) = ty else { return false };
        matches!(self.resolve.types[*id].kind, TypeDefKind::Option(_))
    }

    fn name_of(&self, ty: &Type) -> String {
        match ty {
            Type::Bool => "boolean".to_owned(),
            Type::Char | Type::String => "string".to_owned(),
            Type::Id(id) => {
                let definition = &self.resolve.types[*id];
                match &definition.name {
                    Some(name) => pascal(name),
                    None => self.anonymous(definition),
                }
            }
            Type::ErrorContext => panic!("the contract has no error contexts"),
            // 64 bits too: exact up to 2^53.
            _ => "number".to_owned(),
        }
    }

    fn anonymous(&self, definition: &TypeDef) -> String {
        match &definition.kind {
            TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
            TypeDefKind::List(of) => {
                let of = self.name_of(of);
                if of.contains(" | ") { format!("({of})[]") } else { format!("{of}[]") }
            }
            TypeDefKind::Option(of) if !self.is_option(of) => {
                format!("{} | null", self.name_of(of))
            }
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<_> = tuple.types.iter().map(|ty| self.name_of(ty)).collect();
                format!("[{}]", types.join(", "))
            }
            TypeDefKind::Type(of) => self.name_of(of),
            other => panic!("the contract has a {} that is not translated", other.as_str()),
        }
    }
}

/// Words that are no names in TypeScript.
const RESERVED: [&str; 12] = [
    "case", "class", "default", "delete", "enum", "export", "function", "import", "in", "new",
    "switch", "with",
];

fn comment(text: &mut String, indent: &str, docs: &Docs, thrown: Option<String>) {
    let told = docs.contents.as_deref().unwrap_or_default().trim();
    let thrown = thrown.map(|what| format!("@throws {{{what}}}"));
    let lines: Vec<_> = told.lines().map(str::trim_end).chain(thrown.as_deref()).collect();
    match &*lines {
        [] => {}
        [line] => writeln!(text, "{indent}/** {line} */").expect("memory"),
        lines => {
            writeln!(text, "{indent}/**").expect("memory");
            for line in lines {
                writeln!(text, "{}", format!("{indent} * {line}").trim_end()).expect("memory");
            }
            writeln!(text, "{indent} */").expect("memory");
        }
    }
}

fn pascal(name: &str) -> String {
    let upper = |part: &str| {
        let mut letters = part.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    name.split('-').map(upper).collect()
}

fn camel(name: &str) -> String {
    let name = pascal(name);
    let mut letters = name.chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

#[test]
fn the_committed_types_are_those_of_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("examples/plugins/ts/types/portcullis.d.ts");
    let text = declarations(&root.join("wit"));
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(text == committed, "portcullis.d.ts is stale: UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn every_kind_of_type_is_translated() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("contract.wit"),
        "package a:b@0.1.0;
         /// Things.
         interface things {
             /// A colour.
             enum colour { dark-red, blue }
             flags marks { first-one, other }
             variant word { none, some(list<tuple<string, u64>>) }
             record thing { the-colour: colour, bytes: option<list<u8>> }
         }
         interface store {
             use things.{thing, word as term};
             /// Takes one away.
             delete: func(key: string) -> result<option<thing>, term>;
         }
         interface ask { use things.{thing}; ask-it: func(in: thing); }
         world every-hook { import store; export ask; }",
    )
    .unwrap();
    let text = declarations(dir.path());
    for expected in [
        "/** Things. */\ndeclare module 'a:b/things@0.1.0' {\n  /** A colour. */\n",
        "  export type Colour =\n    | 'dark-red'\n    | 'blue';\n",
        "  export interface Marks {\n    firstOne?: boolean;\n    other?: boolean;\n  }\n",
        "    | { tag: 'none' }\n    | { tag: 'some'; val: [string, number][] };\n",
        "    theColour: Colour;\n    bytes?: Uint8Array | null;\n",
        "  import type { Word as Term } from 'a:b/things@0.1.0';\n  export type { Term };\n",
        "  /**\n   * Takes one away.\n   * @throws {Term}\n   */\n",
        "  function delete_(key: string): Thing | null;\n  export { delete_ as delete };\n",
        "  export interface Ask {\n    askIt(in_: Thing): void;\n  }\n",
    ] {
        assert!(text.contains(expected), "{expected}\n--- is not in\n{text}");
    }
}
